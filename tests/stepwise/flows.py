"""Training of the linear model without any of the library's formulas: full weights, in the basis of the inputs."""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq


def rotation(size: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def flow(gamma, W0, end, at=None, weight_decay=0.0, rtol=1e-11, atol=None):
    """Integrate dW/dt = -4 (W gamma W^T - I) W gamma - w W, with weights followed from far below their first size."""

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        W = y.reshape(W0.shape)
        return (-4 * (W @ gamma @ W.T - np.eye(len(W))) @ W @ gamma - weight_decay * W).ravel()

    atol = 1e-9 * np.abs(W0).max() if atol is None else atol
    return solve_ivp(
        velocity, (0, end), W0.ravel(), "DOP853", rtol=rtol, atol=atol, t_eval=at, dense_output=at is None
    )


def flow_step_times(gamma, W0, end, weight_decay=0.0, levels=0.5) -> np.ndarray:
    """Return when the eigenvalues of W gamma W^T pass levels, from the largest on."""
    solved = flow(gamma, W0, end, weight_decay=weight_decay)

    def eigenvalues(t: float) -> np.ndarray:
        W = solved.sol(t).reshape(W0.shape)
        return np.linalg.eigvalsh(W @ gamma @ W.T)[::-1]

    records = np.array([eigenvalues(t) for t in solved.t])
    times = []
    for j, level in enumerate(np.broadcast_to(levels, len(W0))):
        above = records[:, j] >= level
        i = int(above.argmax())
        times.append(
            brentq(lambda t, j=j, level=level: eigenvalues(t)[j] - level, solved.t[i - 1], solved.t[i])
            if above.any()
            else np.inf
        )
    return np.array(times)


def descent(
    gamma: np.ndarray,
    W0: np.ndarray,
    eta: float,
    steps: int,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> np.ndarray:
    """Return W gamma W^T of each step (steps + 1, d, d), under the updates of torch.optim.SGD."""
    W, buffer = W0.copy(), np.zeros_like(W0)
    records = []
    for _ in range(steps + 1):
        C = W @ gamma @ W.T
        records.append(C)
        gradient = 4 * (C - np.eye(len(W))) @ W @ gamma + weight_decay * W
        buffer = momentum * buffer + gradient
        W = W - eta * buffer
    return np.array(records)


def descending(matrices: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of symmetric matrices, from the largest on."""
    return np.linalg.eigvalsh(matrices)[..., ::-1]


def first_passages(records: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the (fractional) records at which curves first pass levels, by straight lines between records."""
    times = []
    for curve, level in zip(records.T, levels, strict=True):
        above = curve >= level
        i = int(above.argmax())
        times.append(i - (curve[i] - level) / (curve[i] - curve[i - 1]) if above.any() else np.inf)
    return np.array(times)
