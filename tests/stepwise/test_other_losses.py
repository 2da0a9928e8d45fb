"""The theory of other losses, against their gradient flows by automatic differentiation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from cases import representative
from solvable.errors import InputError
from solvable.stepwise.other_losses import loss_modes

GAMMA, SIGMA = np.array([1.0, 0.7, 0.4, 0.15]), np.array([1.6, 0.9, 0.7, 0.2])
K, T = 1.2, 0.5
OPTIONS = {"info_nce": {"temperature": T}, "squared_vicreg": {"invariance": K}}
Flow = Callable[[torch.Tensor], torch.Tensor]


def losses(gamma: np.ndarray, sigma: np.ndarray) -> dict[str, Flow]:
    """The losses of one linear encoder W (d, m), from the formulas of their definitions."""
    G, S = torch.tensor(gamma).diag(), torch.tensor(sigma).diag()
    eye = torch.eye

    def fourth_order(W: torch.Tensor) -> torch.Tensor:
        # ln mean_j exp(x_j) = mean + var/2 + ..., with x_j = a . b_j / T of mean 0 and variance a^T C_b a / T^2.
        C = W @ S @ W.T
        return -(W @ G @ W.T).trace() / T + (C @ C).trace() / (2 * T**2)

    return {
        "barlow_twins": lambda W: (W @ G @ W.T - eye(len(W))).square().sum(),
        "spectral_contrastive": lambda W: -2 * (W @ G @ W.T).trace() + (W @ S @ W.T).square().sum(),
        "info_nce": fourth_order,
        "squared_vicreg": lambda W: (
            (W @ S @ W.T - eye(len(W))).square().sum() + K * (W @ (S - G) @ W.T).trace()
        ),
    }


def integrate(loss: Flow, W0: np.ndarray, times: np.ndarray, rtol: float = 1e-12) -> list[np.ndarray]:
    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        W = torch.tensor(y.reshape(W0.shape), requires_grad=True)
        return -torch.autograd.grad(loss(W), W)[0].numpy().ravel()

    atol = 1e-9 * float(np.median(np.abs(W0[W0 != 0])))
    solved = solve_ivp(velocity, (0, times[-1]), W0.ravel(), "DOP853", times, rtol=rtol, atol=atol)
    return [y.reshape(W0.shape) for y in solved.y.T]


@pytest.fixture(autouse=True)
def _double_precision():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", ["barlow_twins", "spectral_contrastive", "info_nce", "squared_vicreg"])
def test_aligned_weights_follow_the_curves(name) -> None:
    modes = loss_modes(name, GAMMA, SIGMA, **OPTIONS.get(name, {}))
    s0 = np.array([1e-2, 2e-2, 1e-2, 3.0])
    times = np.r_[0.0, modes.step_times(s0)[:3], 8.0]
    order = np.argsort(times)
    weights = integrate(losses(GAMMA, SIGMA)[name], np.diag(s0), times[order])
    measured = np.array([np.diagonal(W @ np.diag(SIGMA) @ W.T) for W in weights])
    assert modes.trajectory(s0, times[order]) == pytest.approx(measured, rel=1e-6)
    for j in range(3):  # half of the final value at the step times
        assert measured[order == j + 1, j] == pytest.approx(modes.levels[j] / 2, rel=1e-6)
    assert modes.step_times(s0)[3] == 0  # it starts above its final value, and falls


def test_two_encoders_follow_the_curve() -> None:
    gamma = np.array([1.0, 0.5])
    modes = loss_modes("two_encoders", gamma, np.ones(2))
    S = torch.tensor(gamma).diag()

    def loss(both: torch.Tensor) -> torch.Tensor:
        W, V = both[:2], both[2:]
        return (W @ S @ V.T - torch.eye(2)).square().sum()

    times = np.linspace(0, 9, 10)
    start = 1e-3 * np.eye(2)
    ends = integrate(loss, np.concatenate([start, start]), times)
    measured = np.array([np.diagonal(y[:2] @ np.diag(gamma) @ y[2:].T) for y in ends])
    assert modes.trajectory(1e-3, times) == pytest.approx(measured, rel=1e-6)
    assert modes.levels.tolist() == [1, 1]


@pytest.mark.parametrize(
    "name", representative(["spectral_contrastive", "squared_vicreg", "info_nce"], ["spectral_contrastive"])
)
def test_generic_weights_fill_the_fastest_and_end_with_the_most_correlated(name) -> None:
    # rho is 0.5, 0.8, 0.6, 0.9: the third and fourth grow last, but the first and third do not stay.
    gamma = np.array([2.0, 1.2, 0.6, 0.45])
    sigma = gamma / [0.5, 0.8, 0.6, 0.9]
    options = {**OPTIONS, "squared_vicreg": {"invariance": 0.8}}.get(name, {})
    modes = loss_modes(name, gamma, sigma, **options)
    assert modes.final(2).tolist() == [1, 3]
    assert modes.order[0] == 0

    loss = losses(gamma, sigma)[name]
    if name == "squared_vicreg":
        S, G = torch.tensor(sigma).diag(), torch.tensor(gamma).diag()
        loss = lambda W: (W @ S @ W.T - torch.eye(2)).square().sum() + 0.8 * (W @ (S - G) @ W.T).trace()  # noqa: E731
    W0 = 1e-3 * np.random.default_rng(0).normal(size=(2, 4))
    first_two = np.sort(modes.step_times(1e-3))[1]
    early, late = integrate(loss, W0, np.array([2.0 * first_two, 60.0]), rtol=1e-6)
    shares = [np.square(W).sum(axis=0) * sigma for W in (early, late)]
    assert set(np.argsort(shares[0])[-2:]) == set(modes.order[:2])
    assert sorted(np.argsort(shares[1])[-2:]) == modes.final(2).tolist()
    levels = np.linalg.eigvalsh(late @ np.diag(sigma) @ late.T)
    assert levels == pytest.approx(np.sort(modes.levels[[1, 3]]), rel=1e-3)


def test_barlow_twins_keeps_what_came_first() -> None:
    gamma = np.array([2.0, 1.2, 0.6, 0.45])
    modes = loss_modes("barlow_twins", gamma, gamma / [0.5, 0.8, 0.6, 0.9])
    assert modes.final(2).tolist() == [0, 1]
    # Without a weight on the distance of the views there is nothing that could prefer others later.
    free = loss_modes("squared_vicreg", gamma, gamma / [0.5, 0.8, 0.6, 0.9], invariance=0.0)
    assert free.final(2).tolist() == free.order[:2].tolist() == [0, 1]


def test_first_growth_of_info_nce_on_data() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(60, 3)) * [2.0, 1.0, 0.5]
    X, X2 = (torch.tensor(shared + 0.4 * rng.normal(size=(60, 3))) for _ in range(2))
    A, B = X - X.mean(0), X2 - X2.mean(0)
    values, V = torch.linalg.eigh((A.T @ B + B.T @ A) / (2 * len(A)))
    rates = loss_modes("info_nce", values.numpy(), np.ones(3), temperature=T).rates
    W = (1e-4 * V.T).requires_grad_()
    f, f2 = X @ W.T, X2 @ W.T
    loss = torch.nn.functional.cross_entropy(f @ f2.T / T, torch.arange(60))
    growth = -torch.autograd.grad(loss, W)[0] @ V / 1e-4
    # Amplitudes grow at half the rate of squares.
    assert growth.numpy() == pytest.approx(np.diag(rates / 2), rel=1e-4, abs=1e-4 * rates.max())


def test_what_is_never_learned() -> None:
    modes = loss_modes("squared_vicreg", [0.9, 0.1], [1.0, 1.0], invariance=3.0)
    assert modes.order.tolist() == [0]
    assert modes.levels[1] == 0
    assert modes.step_times(1e-3)[1] == np.inf
    assert modes.final(5).tolist() == [0]
    gone = modes.trajectory(1e-3, [0.0, 1.0])[:, 1]
    assert gone == pytest.approx([1e-6, 1e-6 * np.exp(modes.rates[1])])
    barlow = loss_modes("barlow_twins", [1.0, 0.0, -0.5], [1.0, 1.0, 1.0])
    assert barlow.step_times(1e-3)[1:].tolist() == [np.inf, np.inf]
    assert barlow.order.tolist() == [0]


def test_tiny_and_zero_weights() -> None:
    modes = loss_modes("spectral_contrastive", [1.0], [2.0])
    # share = sigma s^2 / rho = 4e-600
    assert modes.step_times(1e-300)[0] == pytest.approx((600 * np.log(10) - np.log(4)) / 8, rel=1e-12)
    assert modes.trajectory(1e-300, [0.0, 200.0]).ravel() == pytest.approx([0.0, 0.5])
    assert modes.step_times(0.0)[0] == np.inf
    assert modes.trajectory(0.0, [5.0])[0, 0] == 0


BAD = [
    (lambda: loss_modes("byol", [1.0], [1.0]), "unknown loss 'byol'"),  # pyright: ignore
    (lambda: loss_modes("barlow_twins", [1.0], [0.0]), "sigma must be above 0"),
    (lambda: loss_modes("barlow_twins", [1.0, 2.0], [1.0]), "expected the same number of modes"),
    (lambda: loss_modes("barlow_twins", [np.inf], [1.0]), "gamma has 1 value"),
    (lambda: loss_modes("info_nce", [1.0], [1.0], temperature=0), "temperature must be above 0"),
    (lambda: loss_modes("squared_vicreg", [1.0], [1.0], invariance=-1), "invariance must be at least 0"),
    (lambda: loss_modes("two_encoders", [-1.0], [1.0]), "expected singular values"),
    (lambda: loss_modes("barlow_twins", [1.0], [1.0]).step_times(-1), "s0 must be at least 0"),
    (lambda: loss_modes("barlow_twins", [1.0, 0.5], [1.0, 1.0]).step_times([1, 1, 1]), "one for each of 2"),
    (lambda: loss_modes("barlow_twins", [1.0], [1.0]).trajectory(1e-3, [-1.0]), "times must be at least 0"),
    (lambda: loss_modes("barlow_twins", [1.0], [1.0]).final(0), "dim must be a whole number"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_input_is_one_sentence(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
