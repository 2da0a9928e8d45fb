"""What the wing's page shows, without a browser."""

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.overfitting import explore, explore_labels, explore_profile
from solvable.overfitting.explore import EXPONENTIAL, FAMILIES, LOGARITHM, POWER, RIDGES, SIZES, Setting
from solvable.overfitting.explore_profile import JUDGED, Machine
from solvable.overfitting.label_noise import nested_flips
from solvable.overfitting.noise_weights import noise_sensitivity


def words_of(facts):
    return " ".join(" ".join(fact) for fact in facts)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_spectrum_of_the_page_can_be_shown(family):
    one = FAMILIES[family]
    for number in (one.steps[0], one.start, one.steps[-1]):
        for ridge in (0.0, RIDGES[1], RIDGES[-1]):
            for n in (SIZES[0], SIZES[-1]):
                seen = explore.theory_view(Setting(family, number, ridge), n)
                assert len(seen.facts) == 4
                assert "nan" not in seen.chart + words_of(seen.facts) + seen.advice
                assert "inf" not in words_of(seen.facts)
    assert one.start in one.steps


@pytest.mark.parametrize(
    ("family", "number", "expected", "error"),
    [
        # E0 = α n/(n + 1/2); for squares it is exact.
        (POWER, 2.0, {100: 200 / 100.5 - 1, 100_000: 1.0}, 1e-5),
        # Machines on spheres have 1.203 at n = 400; the limit is 1 + 1/D.
        ("Laplace kernel", 5.0, {400: 0.208, 1_000_000: 0.2007}, 2e-2),
        # κ falls by e^-c for each sample.
        (EXPONENTIAL, 0.1, {2000: 199.0, 3000: 299.0, 1_000_000: 99_999.0}, 1e-6),
        # Modes summed one by one, with the trace of those after them as a ridge.
        (LOGARITHM, 2.0, {100: 0.2745, 1000: 0.1794, 10_000: 0.1305, 100_000: 0.1020}, 1e-3),
    ],
)
def test_the_cost_of_noise_is_what_other_sums_give(family, number, expected, error):
    curve = explore.cost_curve(Setting(family, number))
    for n, cost in expected.items():
        assert curve.cost[SIZES.index(n)] == pytest.approx(cost, rel=error)


def test_a_quadrature_of_few_nodes_is_as_good_as_one_of_many():
    from solvable.kernels import Laplace
    from solvable.overfitting.theory import overfitting_coefficient
    from solvable.spectra import hypersphere

    for dimension in (3, 20):
        sizes = np.array(SIZES)[:20]
        fine = overfitting_coefficient(hypersphere(Laplace(1.0).curve, dimension + 1, n_levels=200), sizes)
        curve = explore.cost_curve(Setting("Laplace kernel", float(dimension)))
        np.testing.assert_allclose(1.0 + curve.cost[:20], fine, rtol=1e-6)


def test_the_curve_ends_where_the_spectrum_does_and_says_so():
    smooth = Setting("Gaussian kernel", 2.0)
    curve = explore.cost_curve(smooth)
    assert curve.n_resolved < 1000
    assert np.isnan(curve.cost[SIZES.index(curve.n_resolved) + 1 :]).all()
    seen = explore.theory_view(smooth, 10_000)
    assert f"n = {curve.n_resolved}" in seen.facts[0][2]
    assert f"The curve ends at n = {curve.n_resolved}, and so do the numbers" in seen.warning
    assert "infinite for a Gaussian kernel in dimension 2" in seen.warning
    # A ridge cuts the part that is not known.
    with_ridge = explore.cost_curve(Setting("Gaussian kernel", 2.0, 1e-3))
    assert with_ridge.n_resolved == SIZES[-1]


def test_each_regime_has_its_words():
    for family, regime, advice in (
        ("Laplace kernel", "tempered", "More data do not average the noise out"),
        ("Gaussian kernel", "catastrophic", "More data make it worse"),
        (LOGARITHM, "benign", "treat it as tempered"),
    ):
        seen = explore.theory_view(Setting(family, FAMILIES[family].start), 1000)
        assert seen.facts[1][1] == regime
        assert advice in seen.advice
        ridged = explore.theory_view(Setting(family, FAMILIES[family].start, 0.1), 1000)
        assert ridged.facts[1][1] == "benign"
        assert "without a ridge it would be" in ridged.advice


def test_votes_are_those_of_theory_and_keep_their_place_at_the_ends():
    seen = explore_labels.labels_view(10, 0.2, 5)
    assert [value for _, value, _ in seen.facts] == ["0 %", "1.43 %", "20 %", "7.17 %"]
    assert "35.6 %" in seen.facts[2][2]
    for classes in explore_labels.CLASSES:
        most = 1 - 1 / classes
        for wrong in (0.0, 0.01, most):
            for neighbours in (1, explore_labels.NEIGHBOURS[-1]):
                seen = explore_labels.labels_view(classes, wrong, neighbours)
                assert "nan" not in seen.chart + words_of(seen.facts) + seen.advice


def test_a_profile_is_what_fitting_again_gives():
    """Against machines that are fitted to each label vector, with one-hot columns and a solver."""
    machine, n, ridge = Machine("gaussian", 1.0, 10), 100, 0.03
    data, fits = explore_profile._digits(10), explore_profile._fits_of(machine)[n]
    channel, errors, costs = (1 - np.eye(10)) / 9, [], []
    for number, (part, fit) in enumerate(zip(explore_profile._parts(n), fits, strict=True)):
        delta = ridge * fit.gram.diagonal().mean()
        cross = fit.cross @ fit.vectors.T
        costs.append(noise_sensitivity(fit.gram, cross, delta).mean())
        generator = np.random.default_rng((n, number))
        for _ in range(explore_profile._DRAWS):
            wrong = nested_flips(data.classes[part], np.array([JUDGED]), channel, generator)[0]
            found = cross @ np.linalg.solve(fit.gram + delta * np.eye(n), np.eye(10)[wrong] - 0.1)
            errors.append((found.argmax(axis=1) != data.test_classes).mean())
    seen = explore_profile.profile(machine, n, ridge, (JUDGED,))
    assert seen.error[1] == pytest.approx(np.mean(errors), abs=1e-3)
    assert seen.cost == pytest.approx(np.mean(costs), rel=1e-9)
    # Leaving each sample out tells of fresh ones, within what 500 samples scatter.
    assert explore_profile.loo_cost(machine, n, ridge) == pytest.approx(seen.cost, rel=0.1)


@pytest.mark.parametrize("kernel", explore_profile.KERNELS.values())
def test_every_machine_can_be_shown(kernel):
    for length in (explore_profile.LENGTHS[0], explore_profile.LENGTHS[-1]):
        for classes in explore_profile.TASKS.values():
            for ridge in (0.0, explore_profile.RIDGES[-1]):
                seen = explore_profile.machine_view(Machine(kernel, length, classes), 400, ridge)
                assert "nan" not in seen.profile + seen.trend + words_of(seen.facts) + seen.advice


def test_two_losses_disagree_about_the_laplace_kernel():
    seen = explore_profile.machine_view(Machine("laplace", 1.0, 10), 400, 0.0)
    assert "falls in 0-1 loss" in seen.advice
    assert "hardly changes in squared loss" in seen.advice
    assert seen.facts[3][1] == "0 %"
    ridged = explore_profile.profile(Machine("laplace", 1.0, 10), 400, 10.0)
    assert ridged.unfitted[2] > 0.01


def test_a_measured_curve_gets_its_verdict():
    for text, classes, noise, regime in (
        (explore_labels.EXAMPLE, "10", "20 %", "tempered"),
        (
            "250 .26 .01\n500,.11,.01\n# a remark\n\n1000; .07; .01\n2000 .03 .01\n4000 .01 .01",
            "10",
            "0.2",
            "benign",
        ),
        ("100 1 .02\n200 2 .04\n400 4 .1\n800 8 .2", "", "", "catastrophic"),
        ("100 1 .02", "", "", "undecided"),
        ("100 1 nan", "2", "20%", None),
    ):
        if regime is None:
            with pytest.raises(InputError, match="the standard error of line 1"):
                explore_labels.read_measurements(text, classes, noise)
            continue
        seen = explore_labels.verdict_view(explore_labels.read_measurements(text, classes, noise))
        assert seen.facts[0][1] == regime
        assert "nan" not in seen.chart + words_of(seen.facts)
        assert len(seen.assumptions) >= 4


@pytest.mark.parametrize(
    ("text", "classes", "noise", "sentence"),
    [
        ("", "10", "0.2", "there are no measurements; expected a line"),
        ("100 0.9", "10", "0.2", "line 1, “100 0.9”, has 2 entries; expected three"),
        (
            "\n100 much 0.1",
            "10",
            "0.2",
            "the sensitivity of line 2, “100 much 0.1”, is “much”; expected a number",
        ),
        ("-5 0.9 0.1", "10", "0.2", "n of line 1, “-5 0.9 0.1”, is -5; expected"),
        ("5 0.9 -0.1", "10", "0.2", "the standard error of line 1, “5 0.9 -0.1”, is -0.1; expected"),
        ("5 0.9 0.1", "1", "0.2", "the number of classes is 1; expected a whole number from 2 on"),
        ("5 0.9 0.1", "ten", "0.2", "the number of classes is “ten”; expected a number"),
        ("5 0.9 0.1", "10", "", "the share of wrong labels is missing"),
        ("5 0.9 0.1", "10", "a lot", "the share of wrong labels is “a lot”"),
        ("5 0.9 0.1", "2", "60 %", "at most 1 - 1/K = 0.5"),
        ("5 0.9 0.1\n" * 201, "2", "20 %", "there are 201 lines of measurements; expected at most 200"),
    ],
)
def test_what_cannot_be_read_gets_its_sentence(text, classes, noise, sentence):
    with pytest.raises(InputError) as told:
        explore_labels.verdict_view(explore_labels.read_measurements(text, classes, noise))
    assert sentence in str(told.value)
