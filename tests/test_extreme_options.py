"""Numbers far out of range, in every study: one sentence before any work, or a right result."""

import shlex
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from solvable import machine
from solvable.checks import whole
from solvable.errors import InputError
from solvable.lab.parameters import parameter_fields
from solvable.machine import bytes_of_training
from solvable.wings import load_study, study_names

FREE = 16e9


@pytest.fixture(autouse=True)
def _free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: int(FREE))


def fields_of(kind: type) -> list[Any]:
    return [
        pytest.param(name, field, id=f"{name}-{field.name}")
        for name in study_names()
        for field in parameter_fields(load_study(name).Parameters)
        if field.items is kind and field.name != "trials"
    ]


def prepared(name: str, **values: Any) -> Any:
    """Return what a study does before its predictions."""
    study = load_study(name)
    parameters = replace(study.tiny, **values)
    return study.prepare(parameters)


@pytest.mark.parametrize(("name", "field"), fields_of(int))
def test_a_huge_whole_number_is_refused_at_once(name: str, field: Any) -> None:
    for number in (10**18, 10**400):
        value = (number,) if field.several else number
        with pytest.raises(
            InputError, match=rf"^{field.name} must be a whole number of at most [\d,]+; got 1000"
        ):
            replace(load_study(name).tiny, **{field.name: value})


@pytest.mark.parametrize(("name", "field"), fields_of(int))
def test_a_thousand_million_is_refused_before_the_predictions(name: str, field: Any) -> None:
    if field.name in ("random_state", "batch_size"):
        return  # a seed is free, and a batch is at most the data
    value = (10**9,) if field.several else 10**9
    if field.name in ("depths", "widths") and name in ("scaling", "depth"):
        value = (2, 10**9)
    with pytest.raises(InputError) as caught:
        prepared(name, **{field.name: value})
    assert "\n" not in str(caught.value)


# The limit of an infinite ridge is right, and training stops at once at any error.
ALLOWED = {("regression", "ridge"), ("parity", "stop_at")}


@pytest.mark.parametrize(("name", "field"), fields_of(float))
@pytest.mark.filterwarnings("error")
def test_numbers_near_the_end_of_floats_are_refused_by_name(name: str, field: Any) -> None:
    for number in (1e300, np.nan):
        if number == 1e300 and (name, field.name) in ALLOWED:
            continue
        value = (1.0, number) if field.name == "gammas" else (number,) if field.several else number
        with pytest.raises(InputError, match=field.name.replace("noise_level", "noise.level").rstrip("s")):
            prepared(name, **{field.name: value})


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("overfitting", {"n_modes": 10**9}, "n_modes 1000000000, .* needs about .* GB"),
        ("overfitting", {"n_test": 10**9}, "n_test 1000000000 .* needs about .* GB"),
        ("overfitting", {"decay": 50.0}, "decay is 50 for n_train up to 16, .* expected at most 43.8"),
        ("kernel-convergence", {"n_points": 10**6}, "the kernel of 1000000 points needs about .* GB"),
        ("kernel-convergence", {"depth": (10**6,)}, "depth must be a whole number of at most 1,000"),
        ("kernel-convergence", {"w_std": 1e300}, "^w_std is 1e\\+300 over 2 hidden layers"),
        ("kernel-convergence", {"w_std": 1e-300}, "^w_std is 1e-300 over"),
        ("parity", {"widths": (10**6,), "depth": 2}, "training networks of width 1000000 needs about .* GB"),
        ("parity", {"w_std": 100.0, "depth": 10}, "expected between 0.13 and 7.9$"),
        ("activations", {"width": 10**9}, "lower width$"),
        ("activations", {"deep_width": 10**6}, "lower deep_width$"),
        ("regression", {"n_features": (1e8,)}, "a fit of 1e\\+08 random features .* lower n_features"),
        ("regression", {"n_features": (1e300,)}, "n_features must be at most 1e\\+09, or inf; got 1e\\+300"),
        ("noise-profiles", {"noise_levels": (1e-300,)}, "noise level 1e-300 is too low to be measured"),
        (
            "parity",
            {"activation": "1e300 sin z"},
            "the amplitude of '1e300 sin z' must be at least 1e-06 and at most",
        ),
        (
            "kernel-convergence",
            {"activation": "cos 1e-300z"},
            "the frequency of 'cos 1e-300z' must be at least",
        ),
        ("landscapes", {"n_hidden": 10**7}, "needs about .* GB of memory"),
    ],
)
def test_what_needs_too_much_is_refused_in_a_sentence(name: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        prepared(name, **values)


def test_weights_that_nearly_leave_the_range_have_the_kernel_of_others() -> None:
    """The tangent kernel of a ReLU network is proportional to w_std^2 for each layer, so deviations do not change."""
    study = load_study("kernel-convergence")
    one, other = (prepared("kernel-convergence", w_std=w_std).matrices[2] for w_std in (1.0, 2.0**90))
    np.testing.assert_allclose(other / 2.0**360, one, rtol=1e-12)
    assert study.tiny.w_std < 2


def test_the_memory_of_a_network_counts_weights_and_units() -> None:
    assert bytes_of_training([10, 100, 1], 0) == 4 * 5 * (10 * 100 + 100)
    assert bytes_of_training([10, 100, 1], 7) - bytes_of_training([10, 100, 1], 0) == 4 * 4 * 7 * 111


def test_a_whole_number_has_an_upper_bound() -> None:
    assert whole("steps", 10, at_least=1, at_most=10) == 10
    with pytest.raises(InputError, match=r"^steps must be a whole number of at most 1,000; got 1001$"):
        whole("steps", 1001, at_least=1, at_most=1000)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("stepwise directions --loss 3 --dim 1e18", "dim must be a whole number of at most 10,000,000"),
        (
            "stepwise directions --loss 3 --dim 8 --batch-size 1e300",
            "batch_size must be a whole number of at most",
        ),
        (
            "activations design 0,1e300,1",
            "power coefficients must be at least -1e+60 and at most 1e+60; got 1e+300",
        ),
        (
            "activations design 'relu ntk 1000000'",
            "depth must be a whole number of at most 10,000; got 1000000",
        ),
        ("noise-profile wine --test-size 1e300", "test_size is 1e+300; expected fewer than the 178 samples"),
        ("activations design laplace:1 --width 1e300", "width must be a whole number of at most"),
    ],
)
def test_commands_refuse_what_no_one_can_mean(words: str, sentence: str, command_line: Any) -> None:
    code, out, err = command_line(*shlex.split(words))
    assert (code, out) == (2, "")
    assert sentence in " ".join(err.split())


def test_memory_is_that_of_the_trials_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 128)
    study = load_study("overfitting")
    large = {"n_modes": 10**5, "trials": 200}
    replace(study.tiny, **large)  # one trial fits
    for n_jobs in (None, -1, 128):
        with machine.parallel_trials(n_jobs), pytest.raises(InputError, match="GB are free"):
            replace(study.tiny, **large | {"n_modes": 10**7})
    with machine.parallel_trials(1):
        replace(study.tiny, **large)
    assert machine.at_once(200) == 1
