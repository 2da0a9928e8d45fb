"""What exact kernel self-supervised learning and the tracker cost, next to what one would do without them.

All on one thread.

- `KernelSSL.fit` on 2000 pairs of noisy digits, 20 components, Gaussian kernel, next to the textbook route: an
  eigendecomposition of the (2n, 2n) kernel matrix, its pseudo-inverse root, and a second eigendecomposition. Both make
  the kernel matrix themselves. The textbook route runs once, since it takes minutes.
- `SpectrumTracker.update` at d = 256 with a spectrum at every update, or every tenth, next to a step of training (SGD,
  Barlow Twins, batch 256) of a network 64-1024-1024-256 in the same loop. The ratio is that of the step's time and the
  update's, so 8 % is a ratio of 12.5. What `should_stop` takes at every step is reported beside it.
- The spectrum of a tracker at d = 2048 next to `torch.linalg.svdvals` of a queue of 2048 rows, by which peers compute
  RankMe.
"""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh, subspace_angles
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from benchmarks._result import Result, alternate, in_seconds
from solvable.kernels import Gaussian
from solvable.stepwise import KernelSSL, SpectrumTracker, losses

PAIRS, COMPONENTS = 2000, 20
DIM, WIDTH, BATCH, STEPS = 256, 1024, 256, 120
DEMANDED_KERNEL, DEMANDED_SPECTRUM = 50.0, 4.0
MOST = {1: 0.08, 10: 0.025}
"""Updates between spectra -> largest share of the time of a step of training."""
LARGE_DIM, QUEUE = 2048, 2048


def run() -> Iterator[Result]:
    """Time the claims."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), torch.random.fork_rng():
            torch.manual_seed(0)
            yield kernel_ssl()
            for every in MOST:
                yield tracker(every)
            yield spectrum()
    finally:
        torch.set_num_threads(threads)


def kernel_ssl() -> Result:
    """Exact self-supervised learning of a kernel, and how far the two subspaces of embeddings are apart."""
    X, X2 = pairs()
    kernel = Gaussian().for_data(np.concatenate([X, X2]))
    model = KernelSSL(kernel, COMPONENTS, center=False)
    seconds = median(timed(lambda: model.fit(X, X2)) for _ in range(3))
    start = time.perf_counter()
    embedding, gamma = textbook(kernel, X, X2)
    peer_seconds = time.perf_counter() - start
    ours = model.embedding_.reshape(2 * len(X), -1)
    angle = float(subspace_angles(ours, embedding).max())
    error = float(np.abs(model.eigenvalues_ / gamma - 1).max())
    return Result(
        what="KernelSSL",
        size=f"{PAIRS} pairs, {COMPONENTS} components",
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (two eigendecompositions)",
        ratio=peer_seconds / seconds,
        demanded=DEMANDED_KERNEL,
        accuracy=f"largest principal angle {angle:.0e}, eigenvalues within {error:.0e}",
        accurate=angle < 1e-6,
    )


def pairs() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two noisy views of digits."""
    images, rng = load_digits().data, np.random.default_rng(0)
    chosen = images[rng.integers(len(images), size=PAIRS)]
    X, X2 = (chosen + 3 * rng.standard_normal(chosen.shape) for _ in range(2))
    return X, X2


def textbook(
    kernel: Gaussian, X: NDArray[np.float64], X2: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the embeddings of all views and the eigenvalues, by the formulas as they are written."""
    n = len(X)
    K = np.asarray(kernel(np.concatenate([X, X2])))
    values, vectors = eigh(K)
    kept = values > 1e-12 * values[-1]
    root = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    Z = (K[:, :n] @ K[n:, :] + K[:, n:] @ K[:n, :]) / (2 * n)
    gamma, B = eigh(root @ Z @ root)
    gamma, B = gamma[::-1][:COMPONENTS], B[:, ::-1][:, :COMPONENTS]
    return K @ (root @ B) / np.sqrt(gamma), gamma


def tracker(every: int) -> Result:
    """Updates of a tracker in a loop that trains, and how exact the eigenvalues of one batch are."""
    hidden = [nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    model = nn.Sequential(*hidden, nn.Linear(WIDTH, DIM))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    watch = SpectrumTracker(DIM, every=every)
    X = torch.randn(BATCH, 64)
    training, watching, judging, z = [], [], [], (X, X)
    for step in range(STEPS + 1):
        start = time.perf_counter()
        z = train_step(model, optimizer, X)
        middle = time.perf_counter()
        watch.update(*z, step=step)
        end = time.perf_counter()
        stop = watch.should_stop
        training.append(middle - start)
        watching.append(end - middle)
        judging.append(time.perf_counter() - end)
        assert not stop
    a, b = (one.detach().double() - one.detach().double().mean(dim=0) for one in z)
    cross = (a.T @ b + b.T @ a) / (2 * (BATCH - 1))
    exact = torch.linalg.eigvalsh(cross).flip(0).numpy()
    single = SpectrumTracker(DIM, window=BATCH)
    single.update(*z)
    error = float(np.abs(single.to_dataset().eigenvalue.values[0] - exact).max() / exact[0])
    # Of the updates between two spectra, each is counted once.
    update = sum(median(watching[1 + i :: every]) for i in range(every)) / every
    step_seconds, judged = median(training), sum(judging) / len(judging)
    return Result(
        what=f"SpectrumTracker, every={every}",
        size=f"d = {DIM}, batch {BATCH}",
        ours=in_seconds(update),
        peer=f"{in_seconds(step_seconds)} (step of training)",
        ratio=step_seconds / update,
        demanded=1 / MOST[every],
        accuracy=f"{100 * update / step_seconds:.1f} % of a step, {100 * judged / step_seconds:.1f} % for should_stop; "
        f"eigenvalues within {error:.0e} of the largest",
        accurate=error < 1e-5,
    )


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, X: Tensor) -> tuple[Tensor, Tensor]:
    """Make one step on two noisy views, and return their embeddings."""
    z_a, z_b = model(torch.cat([X + 0.3 * torch.randn_like(X) for _ in range(2)])).chunk(2)
    loss = losses.barlow_twins(z_a, z_b, off_diagonal_weight=1, normalize=False)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return z_a, z_b


def spectrum() -> Result:
    """The eigenvalues of a large cross-correlation, and the singular values of a queue of embeddings."""
    watch = SpectrumTracker(LARGE_DIM, window=QUEUE)
    queue = torch.randn(QUEUE, LARGE_DIM) * torch.arange(1, LARGE_DIM + 1) ** -0.5
    watch.update(queue, queue)
    ours: Any = watch._covariance.eigenvalues
    seconds, peer_seconds, values, singular = alternate(
        ours, lambda: torch.linalg.svdvals(queue - queue.mean(dim=0)), repeats=5
    )
    exact = (singular.double().square() / (QUEUE - 1)).numpy()
    error = float(np.abs(values - exact).max() / exact[0])
    return Result(
        what="spectrum of a tracker",
        size=f"d = {LARGE_DIM}",
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (svdvals of {QUEUE} rows)",
        ratio=peer_seconds / seconds,
        demanded=DEMANDED_SPECTRUM,
        accuracy=f"eigenvalues within {error:.0e} of the largest",
        accurate=error < 1e-5,
    )


def timed(work: Any) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
