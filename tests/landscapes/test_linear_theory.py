"""Closed forms of linear networks' critical points, against dense Hessians, torch modules and root finding."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from scipy.optimize import root
from torch.func import grad, jacrev, vmap

from solvable.errors import InputError
from solvable.landscapes import deep_linear, linear_autoencoder, linear_network


def hessian(loss):
    # torch.func.hessian mixes in the forward mode, whose first use warns.
    return jacrev(jacrev(loss))


def random_covariance(size, rng):
    values = rng.uniform(0.5, 1.5, size).cumsum()
    Q = np.linalg.qr(rng.normal(size=(size, size)))[0]
    return Q * values @ Q.T


def invertible(rng, *shape):
    """Return matrices of condition number up to 9."""
    U, _, V = np.linalg.svd(rng.normal(size=shape))
    return U * rng.uniform(1 / 3, 3, shape[:-1])[..., None, :] @ V


def moments(n_in, n_out, rng, rank=None):
    """Return the moments of a linear map of rank `rank` with noise."""
    Sxx = random_covariance(n_in, rng)
    A = rng.normal(size=(n_out, n_in))
    if rank is not None:
        A = A[:, :rank] @ rng.normal(size=(rank, n_in))
    return Sxx, A @ Sxx, A @ Sxx @ A.T + 0.3 * random_covariance(n_out, rng)


def assert_inertia(points, theta, loss):
    """Compare records with loss, gradient and Hessian at the parameters theta, computed by torch."""
    theta = torch.from_numpy(np.array(theta))
    losses, gradients, hessians = vmap(loss)(theta), vmap(grad(loss))(theta), vmap(hessian(loss))(theta)
    scale = float(loss(torch.zeros_like(theta[0])))
    eigenvalues = torch.linalg.eigvalsh(hessians)
    zero = 1e-9 * (eigenvalues.abs().amax(dim=1, keepdim=True) + 1e-9)
    counts = torch.stack(
        [(eigenvalues < -zero).sum(1), (eigenvalues.abs() <= zero).sum(1), (eigenvalues > zero).sum(1)], dim=1
    )
    assert [[point.n_negative, point.n_zero, point.n_positive] for point in points] == counts.tolist()
    np.testing.assert_allclose([point.loss for point in points], losses, rtol=1e-12, atol=1e-13 * scale)
    assert gradients.abs().max() < 1e-12 * scale


@pytest.mark.parametrize(
    ("k", "n_hidden"), [*product(range(1, 7), range(1, 4)), (1, 7), (2, 5), (3, 5), (4, 4)]
)
def test_every_autoencoder_class_has_the_inertia_of_its_dense_hessian(k, n_hidden):
    rng = np.random.default_rng([k, n_hidden])
    sigma = random_covariance(k, rng)
    points = linear_autoencoder.theory(sigma, n_hidden, scale=1 / k)
    theta = [
        linear_autoencoder.representative(point.subset, sigma, n_hidden, invertible(rng, n_hidden, n_hidden))
        for point in points
    ]
    assert_inertia(points, theta, linear_autoencoder.loss(sigma, n_hidden, scale=1 / k))
    assert linear_autoencoder.identify(theta, sigma, n_hidden, scale=1 / k) == points


@pytest.mark.parametrize(("n_in", "n_out", "n_hidden"), [(5, 3, 2), (3, 5, 2), (4, 4, 3), (3, 5, 4)])
@pytest.mark.parametrize("rank", [None, 2])
def test_every_supervised_class_has_the_inertia_of_its_dense_hessian(n_in, n_out, n_hidden, rank):
    rng = np.random.default_rng([n_in, n_out, n_hidden])
    S = moments(n_in, n_out, rng, rank)
    points = linear_network.theory(*S, n_hidden)
    theta = [
        linear_network.representative(point.subset, *S, n_hidden, invertible(rng, n_hidden, n_hidden))
        for point in points
    ]
    assert_inertia(points, theta, linear_network.loss(*S, n_hidden))


@pytest.mark.parametrize(
    ("k", "n_hidden", "depth"), [(4, 2, 3), (4, 2, 4), (3, 2, 3), (2, 3, 3), (3, 2, 2), (2, 1, 5)]
)
def test_every_deep_class_has_the_inertia_of_its_dense_hessian(k, n_hidden, depth):
    rng = np.random.default_rng([k, n_hidden, depth])
    values = rng.permutation(rng.uniform(0.5, 1.5, k).cumsum())
    points = deep_linear.theory(values, n_hidden, depth, scale=0.7)
    theta = [
        deep_linear.representative(
            point.subset,
            values,
            n_hidden,
            depth,
            tight=point.tight,
            transforms=invertible(rng, depth - 1, n_hidden, n_hidden),
        )
        for point in points
    ]
    assert_inertia(points, theta, deep_linear.loss(values, n_hidden, depth, scale=0.7))
    branches = {(point.subset, point.tight) for point in points}
    assert len(branches) == len(points)
    for point in points:
        both = depth > 2 and len(point.subset) < n_hidden
        assert ((point.subset, not point.tight) in branches) == both


def test_the_origin_of_a_deep_network_is_flat_to_second_order():
    origin = deep_linear.theory([1.0, 2.0, 4.0], 2, 3)[0]
    assert origin.subset == ()
    assert origin.tight
    assert (origin.n_negative, origin.n_zero, origin.n_positive) == (0, 16, 0)


def test_middle_matrices_of_intermediate_rank_lie_between_the_branches():
    values, k, p = np.array([1.0, 2.0, 4.0, 7.0]), 4, 3
    first = np.eye(p, k) * np.array([0, 1.0, 0, 0])  # hidden unit 1 reads feature 1
    indices = []
    for middle in ([0, 1, 0], [0, 1, 1], [1, 1, 1]):
        theta = np.concatenate(
            [first.ravel(), np.diag(np.array(middle, dtype=float)).ravel(), first.T.ravel()]
        )
        H = hessian(deep_linear.loss(values, p, 3))(torch.from_numpy(theta))
        indices.append(int((torch.linalg.eigvalsh(H) < -1e-9).sum()))
    listed = {p.tight: p.n_negative for p in deep_linear.theory(values, p, 3) if p.subset == (1,)}
    assert indices == [listed[True], listed[True] + k - 1, listed[False]]


def test_with_two_layers_the_three_theories_agree():
    values = np.array([0.3, 1.0, 2.5, 4.0])
    sigma = np.diag(values)
    deep, autoencoder, network = (
        deep_linear.theory(values, 3, depth=2),
        linear_autoencoder.theory(sigma, 3),
        linear_network.theory(sigma, sigma, sigma, 3),
    )
    for one, other, third in zip(deep, autoencoder, network, strict=True):
        assert one == other
        assert third.loss == pytest.approx(one.loss, rel=1e-12, abs=1e-14)
        assert (third.subset, third.n_negative, third.n_zero) == (one.subset, one.n_negative, one.n_zero)


@pytest.mark.parametrize(("n_in", "rank"), [(2, 2), (3, 2), (4, 2)])
def test_units_that_write_into_unpredictable_directions_change_the_nullity_as_stated(n_in, rank):
    rng = np.random.default_rng(3)
    S = moments(n_in, 4, rng, rank)
    point = next(point for point in linear_network.theory(*S, 2) if point.subset == (0,))
    theta = linear_network.representative((0,), *S, 2)
    theta[2 * n_in :].reshape(4, 2)[:, 1] = np.linalg.svd(S[1])[0][:, -1]
    loss = linear_network.loss(*S, 2)
    eigenvalues = torch.linalg.eigvalsh(hessian(loss)(torch.from_numpy(theta)))
    assert grad(loss)(torch.from_numpy(theta)).abs().max() < 1e-12
    assert loss(theta) == pytest.approx(point.loss, rel=1e-12)
    assert (eigenvalues < -1e-9).sum() == point.n_negative
    assert (eigenvalues.abs() < 1e-9).sum() == point.n_zero - (n_in - rank)


def test_losses_are_those_of_torch_modules_on_data():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 3))
    x = x @ rng.normal(size=(4, 4))
    inputs = torch.from_numpy(x)

    def flat(net):
        return torch.nn.utils.parameters_to_vector(net.parameters()).detach()

    def layers(*widths):
        return torch.nn.Sequential(
            *(torch.nn.Linear(a, b, bias=False, dtype=torch.float64) for a, b in pairwise(widths))
        )

    net = layers(4, 2, 4)
    mse = torch.nn.functional.mse_loss(net(inputs), inputs).item()
    loss = linear_autoencoder.loss(x.T @ x / 50, 2, scale=1 / 4)
    assert loss(flat(net)).item() == pytest.approx(mse, rel=1e-12)
    assert loss(flat(net).numpy()) == pytest.approx(mse, rel=1e-12)

    net = layers(4, 2, 3)
    mse = torch.nn.functional.mse_loss(net(inputs), torch.from_numpy(y)).item()
    loss = linear_network.loss(x.T @ x / 50, y.T @ x / 50, y.T @ y / 50, 2)
    assert loss(flat(net).numpy()) == pytest.approx(mse * 3 / 2, rel=1e-12)

    Q, R = np.linalg.qr(x)
    inputs, variances = torch.from_numpy(Q * np.diag(R)), np.diag(R) ** 2 / 50
    net = layers(4, 2, 2, 4)
    mse = torch.nn.functional.mse_loss(net(inputs), inputs).item()
    assert deep_linear.loss(variances, 2, 3)(flat(net).numpy()) == pytest.approx(mse * 2, rel=1e-12)


def test_root_finding_from_random_starts_ends_at_listed_points_only():
    rng = np.random.default_rng(1)
    sigma = random_covariance(3, rng)
    loss = linear_autoencoder.loss(sigma, 2)
    gradient, curvature = grad(loss), hessian(loss)
    found = []
    for start in rng.normal(size=(12, 12)) * 0.5:
        end = root(
            lambda t: gradient(torch.from_numpy(t)).numpy(),
            start,
            jac=lambda t: curvature(torch.from_numpy(t)).numpy(),
            method="lm",
            options={"ftol": 1e-14, "xtol": 1e-14},
        )
        if np.abs(end.fun).max() < 1e-9:
            found.append(end.x)
    records = linear_autoencoder.identify(found, sigma, 2)
    assert len(found) >= 8
    assert len({record.subset for record in records}) >= 3
    np.testing.assert_allclose([loss(x) for x in found], [record.loss for record in records], atol=1e-9)


def test_identify_names_no_class_for_points_that_are_near_none():
    rng = np.random.default_rng(2)
    sigma = random_covariance(4, rng)
    theta = linear_autoencoder.representative((1, 3), sigma, 2, invertible(rng, 2, 2))
    record = linear_autoencoder.identify(theta + 1e-3 * rng.normal(size=16), sigma, 2)
    assert record.subset == (1, 3)
    zero_output = np.concatenate([rng.normal(size=8), np.zeros(8)])  # W = 0, and the gradient is not
    nan = np.full(16, np.nan)
    mixed = np.stack([theta, theta + 0.3, zero_output, nan, np.zeros(16)])
    subsets = [one and one.subset for one in linear_autoencoder.identify(mixed, sigma, 2)]
    assert subsets == [(1, 3), None, None, None, ()]
    assert linear_autoencoder.identify(mixed[:0], sigma, 2) == []


def test_identify_does_not_list_the_classes():
    sigma = np.diag(np.arange(1.0, 41.0))  # 40 over 20 is above 10^11
    subset = tuple(range(1, 40, 2))
    theta = linear_autoencoder.representative(subset, sigma, 20)
    record = linear_autoencoder.identify(theta, sigma, 20)
    assert record.subset == subset
    assert record.loss == pytest.approx(0.5 * sum(range(1, 41, 2)))


def test_the_problem_of_the_papers():
    points = linear_autoencoder.theory(np.diag(np.arange(1.0, 17.0)), 4, scale=1 / 16)
    assert len(points) == 2517
    assert points[0].loss == pytest.approx(8.5)
    assert points[0].index_fraction == 0.5
    minima = [point for point in points if point.n_negative == 0]
    assert [point.subset for point in minima] == [(12, 13, 14, 15)]
    assert minima[0].loss == pytest.approx(4.875) == min(point.loss for point in points)


def test_small_losses_are_exact_beside_large_eigenvalues():
    point = deep_linear.theory([1e6, 1e-5, 1.0], 2, 2)[-2]
    assert point.subset == (0, 2)
    assert point.loss == 0.5e-5


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: linear_autoencoder.theory(np.eye(3), 2), "more than once"),
        (lambda: linear_autoencoder.theory(np.diag([1.0, 1.0 + 1e-9, 3.0]), 2), "more than once"),
        (lambda: linear_autoencoder.theory(np.diag([0.0, 1.0, 2.0]), 2), "project on the range"),
        (lambda: linear_autoencoder.theory(np.diag([-1.0, 1.0, 2.0]), 2), "eigenvalue -1"),
        (lambda: linear_autoencoder.theory(np.zeros((2, 2)), 2), "project on the range"),
        (lambda: linear_autoencoder.theory([[1.0, 0.5], [0.0, 2.0]], 1), "not symmetric"),
        (lambda: linear_autoencoder.theory(np.ones((2, 3)), 1), r"shape \(2, 3\)"),
        (lambda: linear_autoencoder.theory(np.diag(np.arange(1.0, 41)), 8), "100,146,724 classes"),
        (lambda: linear_autoencoder.theory(np.diag([1.0, 2.0]), 0), "n_hidden"),
        (lambda: linear_autoencoder.theory(np.diag([1.0, 2.0]), 1, scale=0.0), "scale"),
        (lambda: linear_autoencoder.identify(np.zeros(5), np.diag([1.0, 2.0]), 1), r"expected \(4,\)"),
        (lambda: linear_autoencoder.representative((0, 1), np.diag([1.0, 2.0]), 1), "at most n_hidden"),
        (lambda: linear_autoencoder.representative((2,), np.diag([1.0, 2.0]), 1), "from 0 to 1"),
        (lambda: linear_autoencoder.representative((0, 0), np.diag([1.0, 2.0]), 2), "different positions"),
        (
            lambda: linear_autoencoder.representative((0,), np.diag([1.0, 2.0]), 2, np.ones((2, 2))),
            "condition number",
        ),
        (
            lambda: linear_autoencoder.representative((0,), np.diag([1.0, 2.0]), 2, [1.0, 2.0]),
            "transform has shape",
        ),
        (lambda: linear_autoencoder.loss(np.diag([1.0, 2.0]), 1)(np.zeros((3, 4))), r"shape \(3, 4\)"),
        (lambda: linear_autoencoder.loss(np.diag([1.0, 2.0]), 1)(torch.zeros(4)), "expected float64"),
        (lambda: linear_network.theory(np.eye(2), np.ones((2, 3)), np.eye(3), 1), r"expected \(3, 2\)"),
        (
            lambda: linear_network.theory(np.ones((2, 2)), np.ones((1, 2)), np.eye(1), 1),
            "Sxx has the eigenvalue",
        ),
        (lambda: linear_network.theory(np.eye(2), [[2.0, 0.0]], np.eye(1), 1), "same data"),
        (lambda: linear_network.theory(np.eye(2), np.eye(2), np.eye(2), 1), "more than once"),
        (lambda: deep_linear.theory([1.0, 2.0, 1.0], 1, 3), "more than once"),
        (lambda: deep_linear.theory([1.0, 0.0], 1, 3), "leave such features out"),
        (lambda: deep_linear.theory([1.0, 2.0], 1, 1), "depth"),
        (lambda: deep_linear.theory([[1.0, 2.0]], 1, 3), r"expected \(k,\)"),
        (lambda: deep_linear.representative((0,), [1.0, 2.0], 2, 2, tight=True), "no middle matrices"),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()


def test_targets_that_cannot_be_predicted_leave_the_origin_only():
    points = linear_network.theory(np.eye(3), np.zeros((2, 3)), np.eye(2), 2)
    assert [(one.subset, one.loss, one.n_negative, one.n_zero) for one in points] == [((), 1.0, 0, 10)]
