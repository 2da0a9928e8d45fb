"""Training curves of wide networks, against gradient descent itself."""

import numpy as np
import pytest

from solvable.activations import design, training_curve
from solvable.errors import InputError
from solvable.kernels import NTK, Laplace, Linear


def data(n: int = 30, m: int = 20, d: int = 6, classes: int = 3):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + m, d))
    X *= np.sqrt(d) / np.linalg.norm(X, axis=1, keepdims=True)
    Y = np.eye(classes)[np.argmax(X[:, :classes], axis=1)]
    return X[:n], Y[:n], X[n:], Y[n:]


def descended(K, K_test, Y, Y_test, rate: float, steps: int):
    """Gradient descent on the function, step by step."""
    f, f_test = np.zeros_like(Y), np.zeros_like(Y_test)
    for _ in range(steps):
        error = f - Y
        f, f_test = f - 2 * rate / len(Y) * K @ error, f_test - 2 * rate / len(Y) * K_test @ error
    return f, f_test


@pytest.mark.parametrize("kernel", [NTK(2), Laplace(), "relu ntk 4"])
def test_gradient_descent_step_by_step(kernel) -> None:
    from solvable.kernels import as_kernel

    X, Y, X_test, Y_test = data()
    steps = [0, 1, 7, 200]
    curve = training_curve(kernel, X, Y, X_test, Y_test, 0.1, steps)
    known = as_kernel(kernel).for_data(X)
    for t in steps:
        f, f_test = descended(known(X), known(X_test, X), Y, Y_test, 0.1, t)
        one = curve.sel(step=t)
        assert float(one.train_loss) == pytest.approx(np.mean(np.sum((f - Y) ** 2, axis=1)), rel=1e-9)
        assert float(one.test_loss) == pytest.approx(
            np.mean(np.sum((f_test - Y_test) ** 2, axis=1)), rel=1e-9
        )
        wrong = np.mean(f_test.argmax(axis=1) != Y_test.argmax(axis=1))
        assert float(one.test_error_rate) == pytest.approx(wrong)


def test_a_singular_kernel_learns_what_it_can() -> None:
    X, Y, X_test, Y_test = data()
    # 30 points of 6 coordinates: 24 directions of the linear kernel are null.
    curve = training_curve(Linear(), X, Y, X_test, Y_test, 0.05, [10, 10**8])
    best = np.linalg.lstsq(X, Y, rcond=None)[0]
    assert float(curve.test_loss[1]) == pytest.approx(np.mean(np.sum((X_test @ best - Y_test) ** 2, axis=1)))


def test_a_designed_activation_trains_like_the_deep_network() -> None:
    X, Y, X_test, Y_test = data()
    deep = NTK(4, b_std=0.1)
    phi = design(deep, family="relu+cos")
    steps = [10, 100, 600]
    one, other, shallow = (
        training_curve(kernel, X, Y, X_test, Y_test, 0.1, steps) for kernel in (deep, phi, NTK(1))
    )
    assert np.abs(one.test_loss - other.test_loss).max() < 0.02 * one.test_loss.max()
    assert (
        np.abs(one.train_loss - other.train_loss).max()
        < 0.2 * np.abs(one.train_loss - shallow.train_loss).max()
    )


def test_one_output_and_one_step() -> None:
    X, Y, X_test, Y_test = data()
    curve = training_curve(NTK(1), X, Y[:, 0], X_test, Y_test[:, 0], steps=5)
    assert dict(curve.sizes) == {"step": 1}
    assert "test_error_rate" not in curve


def test_whole_steps_may_be_floats() -> None:
    X, Y, X_test, Y_test = data()
    curve = training_curve(NTK(1), X, Y, X_test, Y_test, steps=[1.0, 1e2])  # pyright: ignore[reportArgumentType]
    assert curve.step.to_numpy().tolist() == [1, 100]
    assert curve.step.dtype.kind == "i"


def test_antipodes_under_an_odd_kernel_are_said_to_be_null() -> None:
    X, Y, X_test, Y_test = data()
    X[20:25] = -X[:5]
    for kernel in (NTK(1, "sin"), NTK(2, "erf"), NTK(1, "tanh"), design([0.0, 1.0, 0.0, 0.5])):
        curve = training_curve(kernel, X, Y, X_test, Y_test, 0.05, [10**9])
        assert curve.null_directions == 5
        assert "5 from antipodes" in curve.notes
        # Of two antipodes the sum of the targets is what no odd function has.
        assert curve.least_train_loss == pytest.approx(np.sum((Y[20:25] + Y[:5]) ** 2) / 2 / len(X), rel=1e-6)
        assert float(curve.train_loss[0]) >= curve.least_train_loss * (1 - 1e-9)
    even = training_curve(NTK(1, b_std=0.1), X, Y, X_test, Y_test, 0.05, [10])
    assert (even.null_directions, even.least_train_loss, even.notes) == (0, 0.0, "")


def test_other_null_directions() -> None:
    X, Y, X_test, Y_test = data()
    X[1], X[2] = 2 * X[0], 0.0
    curve = training_curve(NTK(1), X, Y, X_test, Y_test, 0.05, [10])
    assert curve.null_directions == 2
    assert "1 from points that repeat others up to a factor; 1 from points with K(x, x) = 0)" in curve.notes
    linear = training_curve(Linear(), X, Y, X_test, Y_test, 0.05, [10**8])
    assert linear.null_directions == 24
    assert "22 by rounding" in linear.notes
    assert linear.least_train_loss == pytest.approx(float(linear.train_loss[0]), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 100.0}, "n/lambda_max"),
        ({"rate": -1.0}, "rate"),
        ({"steps": [-1]}, "steps"),
        ({"steps": [2.5]}, "steps must be .*; got 2.5"),
        ({"steps": []}, "steps is empty"),
        ({"y": np.zeros(3)}, "one row for each input"),
        ({"y": np.full(30, np.nan)}, "NaN"),
        ({"y": ["a"] * 30}, "encode"),
        ({"y": np.zeros(30)}, "same columns"),
        ({"X": np.zeros((30, 2, 2))}, "flatten"),
    ],
)
def test_refusals(change, words) -> None:
    X, Y, X_test, Y_test = data()
    given = {"X": X, "y": Y, "X_test": X_test, "y_test": Y_test} | change
    with pytest.raises(InputError, match=words):
        training_curve(NTK(1), **given)
