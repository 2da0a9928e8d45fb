"""What a verdict says: of channels, test sets and sizes that are too few, of odd input, and how it reads."""

import re

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.lab.text import readable
from solvable.overfitting.classify import classify_overfitting

SIZES = 250 * 2.0 ** np.arange(6)


def after(n0, exponent):
    return (SIZES / n0) ** -exponent


class TestChannelMatrix:
    def test_its_assumption(self):
        verdict = classify_overfitting(
            SIZES, np.ones(6), 0.02 * np.ones(6), noise_level=0.2, n_classes=10, symmetric=False
        )
        assert verdict.regime == "tempered"
        assert not verdict.symmetric
        text = " ".join(verdict.assumptions)
        assert "a share 0.2 of the training labels is replaced according to a channel matrix" in text
        assert "those of symmetric noise of the same rate" in text
        assert "each equally likely" not in text

    def test_chance_level_is_not_known(self):
        for error in (0.01, 0.3):
            verdict = classify_overfitting(
                SIZES, 2.5 * np.ones(6), error * np.ones(6), noise_level=0.2, n_classes=2, symmetric=False
            )
            assert verdict.regime == "undecided"
            assert "channel matrix" in verdict.reason
            assert not verdict.warnings
            assert verdict.floor_interval[1] > 2.5  # a matrix may do worse than chance
        wide = classify_overfitting(
            SIZES, 2.0 * np.ones(6), 0.1 * np.ones(6), noise_level=0.2, n_classes=2, symmetric=False
        )
        assert wide.regime == "tempered"
        assert any("symmetric noise" in warning for warning in wide.warnings)

    def test_levels_beyond_a_guess(self):
        options = {"n_classes": 2, "symmetric": False}
        high = classify_overfitting(SIZES, np.ones(6), 0.02 * np.ones(6), noise_level=0.7, **options)
        assert high.regime == "tempered"
        assert not high.warnings
        assert "at chance level" not in " ".join(high.assumptions)
        with pytest.raises(InputError, match="at most 1, a share"):
            classify_overfitting(SIZES, np.ones(6), np.ones(6), noise_level=1.2, **options)


class TestOneTestSet:
    def test_it_is_said(self):
        for points, warned in ((2000, False), (20, True)):
            verdict = classify_overfitting(
                SIZES, 0.3 * np.ones(6), 0.01 * np.ones(6), noise_level=0.2, n_classes=2, one_test_set=points
            )
            assert verdict.regime == "tempered"
            assert verdict.one_test_set == points
            text = verdict.assumptions[-1]
            assert f"these {points} test points" in text
            assert readable(np.sqrt(0.3 / 0.2 / points), 2) in text
            assert "independent" not in text
            assert any(f"choice of these {points}" in one for one in verdict.warnings) == warned
        benign = classify_overfitting(
            SIZES, after(250, 1.0), 0.003 * np.ones(6), noise_level=0.2, n_classes=2, one_test_set=50
        )
        assert benign.regime == "benign"
        assert any("the verdict may not be benign" in one for one in benign.warnings)

    def test_without_it_trials_are_apart(self):
        apart = classify_overfitting(
            SIZES, np.ones(6), 0.02 * np.ones(6), noise_level=0.2, n_classes=2, n_trials=5
        )
        assert (
            "independent: each trial has its own split of the data; at least 5 trials"
            in apart.assumptions[-1]
        )
        # In squared error its size is not known, which leaves the sentence.
        number = classify_overfitting(SIZES, np.ones(6), 0.02 * np.ones(6), one_test_set=500)
        assert "these 500 test points" in number.assumptions[-1]
        assert not number.warnings
        with pytest.raises(InputError, match="one_test_set"):
            classify_overfitting(SIZES, np.ones(6), np.ones(6), one_test_set=0)

    def test_the_bound(self):
        """Points that noise spoils always or never, drawn anew many times: the bound is what they scatter by."""
        random = np.random.default_rng(0)
        spoilt = random.random((4000, 500)) < 0.3 * 0.2  # s = 0.3 at p = 0.2
        scatter = (spoilt.mean(axis=1) / 0.2).std()
        verdict = classify_overfitting(
            SIZES, 0.3 * np.ones(6), 0.01 * np.ones(6), noise_level=0.2, n_classes=2, one_test_set=500
        )
        stated = float(re.findall(r"by about ([\d.]+) at most", verdict.assumptions[-1])[0])
        assert scatter == pytest.approx(stated, rel=0.1)


FLAT = {"noise_level": 0.2, "n_classes": 10}


class TestUndecided:
    def check(self, word, n, s, se, **options):
        verdict = classify_overfitting(n, s, se, **{**FLAT, **options})
        assert verdict.regime == "undecided"
        assert word in verdict.reason
        assert verdict.advice
        assert np.isnan(verdict.floor)
        assert str(verdict)
        return verdict

    def test_too_little(self):
        self.check("One size", [1000], [1.0], [0.01])
        self.check("3 sizes", [250, 1000, 4000], [1.0] * 3, [0.01] * 3)
        self.check("factor 4", [1000, 2000, 3000, 4000], [1.0] * 4, [0.01] * 4)
        self.check("3 sizes", [250, 250, 1000, 4000], [1.0] * 4, [0.01] * 4)
        self.check("trials", SIZES, np.ones(6), 0.01 * np.ones(6), n_trials=2)
        self.check("trials", SIZES, np.ones(6), 0.01 * np.ones(6), n_trials=[10, 10, 10, 5, 3, 1])
        self.check("trials", SIZES, np.ones(6), [0.01, 0.01, 0.01, 0.01, 0.01, np.nan])
        self.check("Without noise", SIZES, np.zeros(6), 0.01 * np.ones(6), noise_level=0.0)
        self.check("Without noise", SIZES, np.zeros(6), 0.01 * np.ones(6), noise_level=0.0, n_classes=None)
        self.check("All standard errors are 0", SIZES, np.ones(6), np.zeros(6))

    def test_what_is_advised_decides(self):
        """The advice is followed in simulation: more trials, with the best fit as truth, decide four times in five."""
        verdict = classify_overfitting(SIZES, np.ones(6), 0.1 * np.ones(6), strict=True, **FLAT)
        assert verdict.regime == "undecided"
        assert "6 times the trials" in verdict.advice
        assert "not strict): tempered" in verdict.advice
        random = np.random.default_rng(0)
        error = 0.1 / np.sqrt(6) * np.ones(6)
        decided = [
            classify_overfitting(
                SIZES, 1 + error * random.standard_normal(6), error, strict=True, **FLAT
            ).regime
            for _ in range(100)
        ]
        assert decided.count("tempered") > 65
        verdict = classify_overfitting(SIZES, 0.049 * np.ones(6), 0.01 * np.ones(6), **FLAT)
        assert "too close to 0.05" in verdict.advice


class TestOddInput:
    def test_zero_standard_error_is_no_certainty(self):
        s = np.array([0.23, 0.13, 0.08, 0.04, 0.0])
        verdict = classify_overfitting(SIZES[:5], s, [0.015, 0.015, 0.015, 0.015, 0.0])
        assert any("is 0; replaced by" in warning for warning in verdict.warnings)
        same = classify_overfitting(SIZES[:5], s, [0.015] * 5)
        assert verdict.floor_interval == pytest.approx(same.floor_interval)
        assert np.isnan(verdict.slope)  # of a logarithm of 0

    def test_no_sensitivity_and_negative_sensitivity(self):
        none = classify_overfitting(SIZES, np.zeros(6), 0.005 * np.ones(6))
        assert none.regime == "benign"
        assert none.floor == 0.0
        helped = classify_overfitting(SIZES, -0.02 * np.ones(6), 0.002 * np.ones(6))
        assert helped.regime != "tempered"
        assert any("below 0" in warning for warning in helped.warnings)

    def test_warnings(self):
        descent = classify_overfitting(SIZES, [0.25, 0.31, 0.35, 0.30, 0.25, 0.35], 0.005 * np.ones(6))
        assert any("multiple descent" in warning for warning in descent.warnings)
        assert any("scatter" in warning for warning in descent.warnings)
        loose = classify_overfitting(SIZES, np.ones(6), 0.01 * np.ones(6), interpolates=False)
        assert any("loose" in warning for warning in loose.warnings)

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("size", [1e59, 1e-300])
    def test_sizes_beyond_all_measure(self, size):
        for s in (np.ones(6), np.arange(1, 7), -np.ones(6)):
            verdict = classify_overfitting(SIZES, size * s, 0.05 * size * np.ones(6))
            assert np.isfinite(verdict.floor_interval).all()
            assert verdict.regime != "tempered" or size > 1

    def test_what_is_refused(self):
        ones = np.ones(6)
        for match, arguments, options in (
            ("one value for each size", (SIZES, ones, ones[:5]), {}),
            ("above 0", (0 * SIZES, ones, ones), {}),
            ("NaN or infinite", (SIZES, np.nan * ones, ones), {}),
            ("at least 0", (SIZES, ones, -ones), {}),
            ("must be numbers", (SIZES, ["much"] * 6, ones), {}),
            ("noise_level is missing", (SIZES, ones, ones), {"n_classes": 2}),
            ("at most 1 - 1/K", (SIZES, ones, ones), {"n_classes": 2, "noise_level": 0.6}),
            ("n_classes", (SIZES, ones, ones), {"n_classes": 1, "noise_level": 0.2}),
            ("one number", (SIZES, ones, ones), {"noise_level": [0.1, 0.2]}),
            ("n_trials", (SIZES, ones, ones), {"n_trials": [3, 3]}),
            (r"sensitivity must be at most 1e\+60", (SIZES, 1e300 * ones, ones), {}),
            (r"standard_error must be at most 1e\+60", (SIZES, ones, 1e300 * ones), {}),
        ):
            with pytest.raises(InputError, match=match):
                classify_overfitting(*arguments, **options)  # pyright: ignore[reportArgumentType]


def test_it_reads_well():
    verdict = classify_overfitting(
        SIZES, np.ones(6), 0.05 * np.ones(6), noise_level=0.2, n_classes=10, n_trials=5
    )
    text = str(verdict)
    assert text.startswith("Tempered.")
    assert "no slower than n^-0.25" in " ".join(text.split())
    assert "one of the 9 other classes" in " ".join(text.split())
    assert "0-1 error" in text
    assert max(map(len, text.splitlines())) <= 96
    assert "1/ln n" in str(classify_overfitting(SIZES, np.ones(6), 0.05 * np.ones(6), strict=True))
