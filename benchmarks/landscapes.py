"""What a batch of starts costs next to one start at a time, and LM next to the published way to find critical points.

All on one thread.

- Hessian-vector products at 100 starts, as the finders make them, next to the fastest ways to make one: differentiating
  twice with the graph kept, or anew, and forward mode over reverse mode. On the linear autoencoder k = 16, p = 4 of
  arXiv:2003.10397, whose loss is computed from the covariance, and on a network 8-8-6-10 with 50 samples. With 200
  samples a single product keeps the processor busier, and the ratio is reported only.
- `find_critical_points` with LM on that autoencoder, 100 starts, next to our own Newton-MR with one start at a time and
  a loss of all 10,000 samples, as the published code works. Newton-MR's success rate and number of steps are those of
  its run on the covariance, which has the same numbers; the time of a step is measured on all samples.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from benchmarks._result import Result, alternate, in_seconds
from solvable.landscapes import descend, find_critical_points, linear_autoencoder, module_loss, sample_starts
from solvable.landscapes.inputs import as_loss

INPUTS, HIDDEN, SAMPLES, STARTS = 16, 4, 10_000, 100
DEMANDED_AUTOENCODER, DEMANDED_NETWORK, DEMANDED_LM = 15.0, 4.0, 100.0
RAW_STEPS = 12
"""Newton-MR's steps on all samples whose time is measured."""


def run() -> Iterator[Result]:
    """Time the claims."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            X = data()
            loss = linear_autoencoder.loss(X @ X.T / SAMPLES, HIDDEN, 1 / INPUTS)
            starts = start_points(loss)
            yield products("autoencoder, N = 128", loss, loss, starts, DEMANDED_AUTOENCODER)
            for samples, demanded in ((50, DEMANDED_NETWORK), (200, None)):
                network = network_loss(samples)
                noise = np.random.default_rng(0).standard_normal((STARTS, len(network.theta0)))
                what = f"network, {samples} samples"
                yield products(what, network, network.pieces[0], network.theta0 + 0.1 * noise, demanded)
            yield finders(X, loss, starts)
    finally:
        torch.set_num_threads(threads)


def data() -> NDArray[np.float64]:
    """Return Gaussian samples with variances 1, ..., k and mean 0, in columns."""
    rng = np.random.default_rng(0)
    X = np.sqrt(np.arange(1.0, INPUTS + 1))[:, None] * rng.standard_normal((INPUTS, SAMPLES))
    return X - X.mean(axis=1, keepdims=True)


def start_points(loss: Any) -> NDArray[np.float64]:
    """Return starts from a path of gradient descent, uniform in loss, half of them with noise."""
    theta0 = 0.1 * np.random.default_rng(0).standard_normal(2 * INPUTS * HIDDEN)
    path, losses = descend(loss, theta0, learning_rate=0.01, n_steps=4000)
    return sample_starts(path, losses, STARTS, noise_std=0.1)


def network_loss(samples: int) -> Any:
    """Return the cross-entropy of a small network on random data."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 6), nn.SiLU(), nn.Linear(6, 10))
    return module_loss(net, "cross-entropy", torch.randn(samples, 8), torch.randint(10, (samples,)), l2=1e-3)


def products(
    what: str,
    loss: Any,
    function: Callable[[Tensor], Tensor],
    theta: NDArray[np.float64],
    demanded: float | None,
) -> Result:
    """Hessian-vector products of all starts at once, and of one."""
    vectors = np.random.default_rng(1).standard_normal(theta.shape)
    here = as_loss(loss).at(theta)
    point = torch.tensor(theta[0], requires_grad=True)
    v = torch.tensor(vectors[0])
    (gradient,) = torch.autograd.grad(function(point), point, create_graph=True)

    def kept() -> Tensor:
        return torch.autograd.grad(gradient, point, v, retain_graph=True)[0]

    def anew() -> Tensor:
        (g,) = torch.autograd.grad(function(point), point, create_graph=True)
        return torch.autograd.grad(g, point, v)[0]

    def forward() -> Tensor:
        return torch.func.jvp(torch.func.grad(function), (point.detach(),), (v,))[1]

    single = {"graph kept": kept, "graph anew": anew, "jvp of grad": forward}
    forward()
    times = {name: alternate(work, work, repeats=30)[0] for name, work in single.items()}
    fastest = min(times, key=times.__getitem__)
    seconds, peer_seconds, ours, peer = alternate(lambda: here.product(vectors), single[fastest], repeats=30)
    error = float(np.abs(ours[0] - peer.detach().numpy()).max() / np.abs(ours[0]).max())
    return Result(
        what=f"Hessian-vector products, {what}",
        size=f"{STARTS} starts",
        ours=f"{in_seconds(seconds / STARTS)} each",
        peer=f"{in_seconds(peer_seconds)} ({fastest})",
        ratio=STARTS * peer_seconds / seconds,
        demanded=demanded,
        accuracy=f"within {error:.0e}",
        accurate=error < 1e-12,
    )


def finders(X: NDArray[np.float64], loss: Any, starts: NDArray[np.float64]) -> Result:
    """Seconds for each critical point found, with the numbers of distinct ones and of mismatches."""
    covariance = X @ X.T / SAMPLES
    seconds, found = {}, {}
    for method in ("lm", "newton_mr"):
        start = time.perf_counter()
        found[method] = find_critical_points(loss, starts, method, quiet=True)
        seconds[method] = time.perf_counter() - start
    samples = torch.tensor(X)

    def raw(theta: Tensor) -> Tensor:
        W1, W2 = theta[: INPUTS * HIDDEN].view(HIDDEN, INPUTS), theta[INPUTS * HIDDEN :].view(INPUTS, HIDDEN)
        return (samples - W2 @ (W1 @ samples)).square().mean()

    step_seconds = []
    for theta in starts[:2]:
        start = time.perf_counter()
        result = find_critical_points(raw, theta, "newton_mr", max_iter=RAW_STEPS, quiet=True)
        step_seconds.append((time.perf_counter() - start) / max(1, int(result.n_iter[0])))
    steps, successes = (
        found["newton_mr"].n_iter.sum(),
        int((found["newton_mr"].squared_gradient < 1e-10).sum()),
    )
    peer_seconds = median(step_seconds) * steps / successes
    lm = found["lm"]
    ok = lm.squared_gradient < 1e-10
    points = linear_autoencoder.identify(lm.theta[ok], covariance, HIDDEN, 1 / INPUTS)
    wrong = sum(
        p is None or p.n_negative != index or abs(p.loss - value) > 1e-9 * value
        for p, index, value in zip(points, lm.index[ok], lm.loss[ok], strict=True)
    )
    classes = len(Counter(p.subset for p in points if p is not None))
    others = len(found["newton_mr"].distinct())
    return Result(
        what="critical points by LM",
        size=f"{STARTS} starts",
        ours=f"{in_seconds(seconds['lm'] / int(ok.sum()))} each",
        peer=f"{in_seconds(peer_seconds)} (Newton-MR, one at a time, all samples)",
        ratio=peer_seconds * int(ok.sum()) / seconds["lm"],
        demanded=DEMANDED_LM,
        accuracy=f"{int(ok.sum())} found, {classes} classes, {wrong} mismatches; Newton-MR {successes}, {others} "
        f"classes, {in_seconds(seconds['newton_mr'] / successes)} each in a batch on the covariance",
        accurate=wrong == 0 and int(ok.sum()) >= 0.98 * STARTS and classes >= 30,
    )
