"""Spectra against dense linear algebra, known quadratics, and each other."""

import numpy as np
import pytest
import torch

from solvable.errors import InputError
from solvable.landscapes.lanczos import lanczos_measure, lanczos_tridiagonal
from solvable.landscapes.losses import numpy_loss
from solvable.landscapes.spectra import (
    escape_direction,
    extreme_eigenpairs,
    index,
    max_stable_rate,
    sharpness,
    spectrum,
)
from solvable.landscapes.torch_losses import ModuleLoss, module_loss


def network(seed: int = 0, batch_size: int | None = None) -> ModuleLoss:
    """The 10-30-5 swish net, 485 parameters."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(10, 30), torch.nn.SiLU(), torch.nn.Linear(30, 5))
    X, y = torch.randn(100, 10, generator=generator), torch.randn(100, 5, generator=generator)
    return module_loss(net, "squared", X, y, batch_size=batch_size)


def dense(loss: ModuleLoss) -> np.ndarray:
    """The Hessian by torch's own transform of the sum of the loss' pieces."""
    theta = torch.as_tensor(loss.theta0)
    pieces = [torch.autograd.functional.hessian(piece, theta) for piece in loss.pieces]
    return sum(piece.numpy() for piece in pieces)  # pyright: ignore


def quadratic(eigenvalues: np.ndarray, seed: int = 0, scale: float = 1.0) -> tuple:
    """Return a quadratic loss and its eigenvectors, with rotated axes and no gradient at 0."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))[0]
    H = scale * (Q * eigenvalues) @ Q.T
    H = (H + H.T) / 2
    loss = numpy_loss(
        lambda t: 0.5 * np.einsum("bn,bn->b", t, t @ H),
        lambda t: t @ H,
        hessp=lambda t, v: v @ H,
        batched=True,
    )
    return loss, Q


@pytest.fixture(scope="module")
def net() -> ModuleLoss:
    return network()


@pytest.fixture(scope="module")
def H(net) -> np.ndarray:
    return dense(net)


def test_exact_spectrum_of_a_network(net, H) -> None:
    found = spectrum(net)
    expected = np.linalg.eigvalsh(H)
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-12 * np.abs(expected).max())
    assert found.trace == pytest.approx(np.trace(H), rel=1e-12)
    assert found.trace_error == 0
    assert found.norm == pytest.approx(np.linalg.norm(H, 2), rel=1e-12)
    small = 1e-6 * found.norm
    assert found.index == (expected < -small).sum()
    assert found.nullity == (np.abs(expected) <= small).sum()
    assert 0 < found.index < 485


def test_lanczos_finds_both_ends(net, H) -> None:
    found = spectrum(net, method="lanczos", n_eigenvalues=8)
    expected = np.linalg.eigvalsh(H)
    np.testing.assert_allclose(found.eigenvalues, expected[[*range(4), *range(-4, 0)]], rtol=1e-9)
    assert found.index is found.nullity is found.nodes is None
    assert abs(found.trace - np.trace(H)) < 4 * found.trace_error
    with pytest.raises(InputError, match="no density"):
        found.density([0.0], 0.1)


def test_quadrature_gives_ends_trace_and_moments_but_no_index(net, H) -> None:
    found = spectrum(net, method="slq")
    expected = np.linalg.eigvalsh(H)
    assert found.eigenvalues[1] == pytest.approx(expected[-1], rel=1e-6)
    assert found.eigenvalues[0] == pytest.approx(expected[0], rel=1e-5)
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    assert abs(found.trace - np.trace(H)) < 4 * found.trace_error < np.trace(H)
    second = 485 * found.weights @ found.nodes**2
    assert second == pytest.approx(np.square(H).sum(), rel=0.2)
    assert found.index is None
    width = 0.05 * found.norm
    x = np.linspace(-1.5, 1.5, 4001) * found.norm
    density, exact = found.density(x, width), spectrum(net).density(x, width)
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(exact, x) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(np.abs(density - exact), x) < 0.1


@pytest.mark.parametrize("method", ["exact", "lanczos", "slq"])
def test_layers_are_the_diagonal_blocks(net, H, method) -> None:
    found = spectrum(net, method=method, per_layer=True)
    assert list(found) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for name, part in net.layers.items():
        expected = np.linalg.eigvalsh(H[part, part])
        ends = found[name].eigenvalues[[0, -1]]
        np.testing.assert_allclose(ends, expected[[0, -1]], atol=1e-6 * np.abs(expected).max())
        assert found[name].n_parameters == len(expected)
        if method == "exact":
            np.testing.assert_allclose(found[name].eigenvalues, expected, atol=1e-12 * np.abs(expected).max())


def test_a_trajectory_gives_one_spectrum_each(net) -> None:
    path = np.stack([net.theta0, 1.1 * net.theta0])
    found = spectrum(net, torch.as_tensor(path), method="slq", n_steps=20, n_probes=2)
    assert len(found) == 2
    again = spectrum(net, path[1], method="slq", n_steps=20, n_probes=2)
    np.testing.assert_allclose(found[1].nodes, again.nodes, atol=1e-12 * again.norm)
    assert abs(found[0].norm - found[1].norm) > 1e-3
    (layers,) = spectrum(net, path[:1], per_layer=True)
    assert "2.bias" in layers


def test_batches_of_samples_change_nothing(net, H) -> None:
    found = spectrum(network(batch_size=30), method="slq", n_steps=40)
    whole = spectrum(net, method="slq", n_steps=40)
    np.testing.assert_allclose(found.eigenvalues, whole.eigenvalues, rtol=1e-9)
    assert found.trace == pytest.approx(whole.trace, rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_ends_with_many_null_directions(scale) -> None:
    """A minimum with a large kernel, where ARPACK alone does not converge, at any scale of the loss."""
    eigenvalues = np.concatenate([np.zeros(150), np.linspace(0.01, 1, 150)])
    loss, _ = quadratic(eigenvalues, scale=scale)
    theta = np.zeros(300)
    found = spectrum(loss, theta, method="lanczos", n_eigenvalues=6)
    np.testing.assert_allclose(found.eigenvalues[:3] / scale, 0, atol=1e-12)
    np.testing.assert_allclose(found.eigenvalues[3:] / scale, eigenvalues[-3:], rtol=1e-9)
    assert index(loss, theta).nullity == 150
    assert escape_direction(loss, theta)[0] / scale == pytest.approx(0, abs=1e-12)
    assert sharpness(loss, theta) / scale == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("n", [50, 400])
def test_escape_and_sharpness_of_a_quadratic(n) -> None:
    eigenvalues = np.concatenate([[-2.0], np.linspace(-0.5, 3, n - 2), [4.0]])
    loss, Q = quadratic(eigenvalues)
    value, v = escape_direction(loss, np.zeros(n))
    assert value == pytest.approx(-2, rel=1e-9)
    assert abs(v @ Q[:, 0]) == pytest.approx(1, abs=1e-9)
    assert sharpness(loss, np.zeros(n)) == pytest.approx(4, rel=1e-9)
    start, level = np.zeros((1, n)), loss.value(np.zeros((1, n)))
    assert loss.value(start + 0.1 * v) < level > loss.value(start - 0.1 * v)
    # Away from the saddle the loss falls along +v.
    for theta in (0.3 * Q[:, 0], -0.3 * Q[:, 0]):
        assert escape_direction(loss, theta)[1] @ theta > 0
    values, vectors = extreme_eigenpairs(loss.at(start))
    np.testing.assert_allclose(values, [-2, 4], rtol=1e-9)
    np.testing.assert_allclose(np.abs([vectors[0] @ Q[:, 0], vectors[1] @ Q[:, -1]]), 1, atol=1e-9)


def test_index_of_losses_and_matrices() -> None:
    eigenvalues = np.array([-3.0, -1e-3, 1e-9, 0.0, 0.5])
    loss, Q = quadratic(eigenvalues)
    for found in (index(loss, np.zeros(5)), index(torch.as_tensor((Q * eigenvalues) @ Q.T))):
        assert (found.count, found.fraction, found.nullity) == (2, 0.4, 2)
        assert found.gap == pytest.approx(1e-3 / 3, rel=1e-6)
    assert index(np.diag(eigenvalues), tolerance=1e-2).count == 1
    zero = index(np.zeros((3, 3)))
    assert (zero.count, zero.nullity) == (0, 3)
    assert np.isnan(zero.gap)


def test_a_zero_hessian() -> None:
    flat = numpy_loss(lambda t: 1.0, np.zeros_like, hessp=lambda t, v: np.zeros_like(v))
    theta = np.ones(300)
    assert escape_direction(flat, theta)[0] == sharpness(flat, theta) == 0
    assert np.all(spectrum(flat, theta, method="lanczos").eigenvalues == 0)
    assert spectrum(flat, theta, method="slq").norm == 0
    assert spectrum(flat, theta).nullity == 300


def test_stable_rates_are_where_the_spectral_radius_passes_one() -> None:
    for beta, nesterov in ((0.0, False), (0.5, False), (0.9, False), (0.5, True), (0.9, True)):
        edge = max_stable_rate(20.0, beta, nesterov=nesterov)
        for eta, stable in ((0.999 * edge, True), (1.001 * edge, False)):
            a = 20 * eta
            step = a * (1 + beta if nesterov else 1)
            # One step of (theta, v) of torch's SGD on 10 theta^2.
            M = np.array([[1 - step, -eta * beta**2 if nesterov else -eta * beta], [20.0, beta]])
            assert (np.abs(np.linalg.eigvals(M)).max() < 1) == stable


def test_lanczos_of_a_batch_reproduces_each_matrix() -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, 12, 12))
    A = A + A.swapaxes(1, 2)
    A[1] = np.diag([1.0, 1, 1, 1, 2, 2, 2, 2, 5, 5, 5, 5])  # Krylov spaces of three dimensions

    def product(V: np.ndarray) -> np.ndarray:
        return np.einsum("bij,bj->bi", A, V)

    start = rng.standard_normal((3, 12))
    alphas, betas = lanczos_tridiagonal(product, start, 12)
    assert (alphas.shape, betas.shape) == ((3, 12), (3, 11))
    assert np.all(betas[1, 2:] == 0)
    nodes, weights = lanczos_measure(product, start, 12)
    for b in (0, 2):
        values, U = np.linalg.eigh(A[b])
        np.testing.assert_allclose(nodes[b], values, atol=1e-10)
        np.testing.assert_allclose(weights[b], (U.T @ start[b]) ** 2 / (start[b] @ start[b]), atol=1e-10)
    heavy = weights[1] > 1e-12
    np.testing.assert_allclose(nodes[1][heavy], [1, 2, 5], atol=1e-12)
    shares = np.square(start[1]).reshape(3, 4).sum(axis=1) / (start[1] @ start[1])
    np.testing.assert_allclose(weights[1][heavy], shares, atol=1e-12)
    assert nodes[1].min() >= 1 - 1e-9
    one = lanczos_measure(lambda V: V @ A[0], start[0], 5)
    assert one[0].shape == (5,)
    # Five steps integrate polynomials up to degree 9.
    v = start[0] / np.linalg.norm(start[0])
    for power in range(10):
        exact = v @ np.linalg.matrix_power(A[0], power) @ v
        assert one[1] @ one[0] ** power == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda loss: spectrum(loss, np.zeros(5), method="power"), "unknown method 'power'"),
        (lambda loss: spectrum(loss, np.zeros(5), per_layer=True), "expected one from module_loss"),
        (lambda loss: spectrum(loss, np.zeros(5), n_eigenvalues=1), "at least 2"),
        (lambda loss: spectrum(loss, np.zeros(5), n_probes=0), "n_probes must be"),
        (lambda loss: spectrum(loss), "theta is missing"),
        (lambda loss: spectrum(loss, np.zeros(5)).density([0.0], 0.0), "width must be above 0"),
        (lambda loss: index(loss, np.zeros((2, 5))), "2 points; expected one"),
        (lambda loss: index(np.eye(3), np.zeros(3)), "matrix alone"),
        (lambda loss: index(np.array([[0.0, 1.0], [0.0, 0.0]])), "not symmetric"),
        (lambda loss: index(np.eye(3)[:2]), "shape \\(2, 3\\)"),
        (lambda loss: index(loss, np.zeros(5), -1.0), "tolerance must be at least 0"),
        (lambda loss: max_stable_rate(1.0, 1.0), "below 1"),
    ],
)
def test_refusals(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        call(quadratic(np.arange(5.0))[0])


def test_refuses_what_does_not_fit_or_is_not_finite() -> None:
    big = numpy_loss(lambda t: t @ t / 2, lambda t: t, hessp=lambda t, v: v)
    with pytest.raises(InputError, match=r"5001 parameters.*choose method lanczos or slq"):
        spectrum(big, np.zeros(5001))
    assert spectrum(big, np.zeros(5001), method="slq", n_probes=2).eigenvalues.tolist() == [1, 1]
    kink = numpy_loss(
        lambda t: np.abs(t[0]) ** 1.5,
        lambda t: 1.5 * np.sign(t) * np.abs(t) ** 0.5,
        hessp=lambda t, v: v * np.inf,
    )
    for method in ("exact", "slq", "lanczos"):
        with pytest.raises(InputError, match="NaN or infinite entries"), np.errstate(invalid="ignore"):
            spectrum(kink, np.zeros(20), method=method)
