"""What the spectral condition costs: parameter groups, `SpectralSGD`, `Monitor`, and steps with groups.

All on one thread, in single precision. Both sides take turns, and a ratio is the median over pairs of neighbouring
turns, which meet the same load. The network of the last three is 784-1024-1024-1024-1024-10 with ReLU, the batch 128.
In the last two both sides share parameters, gradients and the optimizer's state, since two copies of the same in
different places of memory can differ by 10 %.

- Groups of 1000 layers: `param_groups` on a model that `init_` has drawn, next to all that mup 1.0.0 does for the
  same learning rates: building the base and the delta model, `set_base_shapes` and the groups of `MuAdam`. The model
  itself is there before on both sides, and neither makes an optimizer of the groups. mup runs in a process of its own
  (see `benchmarks._mup`), where it builds a new model just before each turn, since it changes the model; our turn is
  five calls, since each would else begin with cold caches. Where mup cannot be installed our time stands alone, and
  no ratio is demanded.
- `SpectralSGD.step` next to `torch.optim.Muon`'s, on the same gradients, without biases, which Muon does not take.
- Steps of training (forward, backward, fused Adam) under a `Monitor` that samples every tenth, next to the same steps
  without.
- `AdamW.step` with the groups of `param_groups` next to `AdamW.step` with the same parameters in one group, in the
  same order (in another, memory for intermediate values comes anew from the system more often, or less), for torch's
  three ways of making the step.
"""

import copy
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._mup import ENVIRONMENT, Peer
from benchmarks._peer import Unavailable
from benchmarks._result import Result, in_seconds
from solvable.scaling import Monitor, SpectralSGD, init_, param_groups

DEPTH, WIDTH = 1000, 64
CALLS = 5  # of param_groups in one turn
SIZES = (784, 1024, 1024, 1024, 1024, 10)
NAME = "MLP 784-1024×4-10"
BATCH = 128
LR = 0.1
EVERY, TURNS = 10, 31  # of the Monitor: steps from sample to sample, and turns
DEMANDED_GROUPS = 20.0
DEMANDED_SPECTRAL = 10.0
MOST_MORE = 0.06  # of a step's time, for the Monitor
DEMANDED_MONITOR = round(1 / (1 + MOST_MORE), 3)
DEMANDED_GROUPED = 0.9


def run() -> Iterator[Result]:
    """Time the four claims, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            yield groups_of_many_layers()
            yield spectral_step()
            yield monitored_training()
            for how in ("default", "foreach", "fused"):
                yield grouped_step(how)
    finally:
        torch.set_num_threads(threads)


def groups_of_many_layers() -> Result:
    """`param_groups` and mup's set-up, both for 1000 layers, and whether they give the same learning rates."""
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)))
    init_(model)

    def groups() -> list[dict[str, Any]]:
        return param_groups(model, "adamw", lr=LR)

    def our_turn() -> float:
        return timed(lambda: [groups() for _ in range(CALLS)]) / CALLS

    groups()  # what is loaded and set up once does not count, on either side
    what, size = "parameter groups for AdamW", f"{DEPTH} layers {WIDTH}×{WIDTH}"
    try:
        python = ENVIRONMENT.python()
    except Unavailable as missing:
        seconds = median(our_turn() for _ in range(11))
        return Result(what, size, in_seconds(seconds), str(missing), accuracy="not compared")
    with Peer(python, WIDTH, DEPTH, LR) as set_up:
        set_up()
        seconds, peer_seconds, ratio = in_turns(our_turn, set_up, repeats=11)
        rates = {id(one): group["lr"] for group in groups() for one in group["params"]}
        ours = [rates[id(parameter)] for parameter in model.parameters()]
        error = max(abs(a / b - 1) for a, b in zip(ours, set_up.rates, strict=True))
    return Result(
        what=what,
        size=size,
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (mup)",
        ratio=ratio,
        demanded=DEMANDED_GROUPS,
        accuracy=f"all {len(ours)} learning rates are mup's, within {error:.0e}",
        accurate=error < 1e-12,
    )


def spectral_step() -> Result:
    """A step of `SpectralSGD` and one of Muon, and how far the largest singular values of the former are from its
    learning rates."""
    model = network(bias=False)
    peers = copy.deepcopy(model)
    X, y = batch()
    for one in (model, peers):
        backward(one, X, y)
    ours = SpectralSGD(param_groups(model, "spectral", lr=LR))
    muon = torch.optim.Muon(param_groups(peers, "muon", lr=LR).muon)
    ours.step()
    muon.step()
    seconds, peer_seconds, ratio = in_turns(lambda: timed(ours.step), lambda: timed(muon.step), repeats=9)
    before = {id(parameter): parameter.detach().clone() for parameter in model.parameters()}
    ours.step()
    with torch.no_grad():
        error = max(
            abs(float(torch.linalg.matrix_norm(before[id(one)] - one, ord=2)) / group["lr"] - 1)
            for group in ours.param_groups
            for one in group["params"]
        )
    return Result(
        what="step of SpectralSGD, next to Muon",
        size=NAME,
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (torch.optim.Muon)",
        ratio=ratio,
        demanded=DEMANDED_SPECTRAL,
        accuracy=f"norms of updates differ by {error:.0e} from the learning rate, at most 0.05",
        accurate=error <= 0.05,
    )


def monitored_training() -> Result:
    """Training with a Monitor and without.

    A turn is ten steps, of which the first is the sampled one. Its time is that of the first step and nine times the
    median of the others, so that a step that other processes disturbed does not count.
    """
    model = network()
    plain = twin(model)
    X, y = batch()

    def steps_of(of: nn.Module, optimizer: torch.optim.Optimizer) -> float:
        def step() -> None:
            backward(of, X, y)
            optimizer.step()

        first, *others = [timed(step) for _ in range(EVERY)]
        return (first + len(others) * median(others)) / EVERY

    groups = param_groups(model, "adam", lr=0.01)
    adam, plain_adam = (torch.optim.Adam([dict(group) for group in groups], fused=True) for _ in range(2))
    plain_adam.state = adam.state
    with Monitor(model, adam, every=EVERY) as monitor:
        steps_of(model, adam)  # the first sample starts its iterations from scratch
        steps_of(plain, plain_adam)
        seconds, plain_seconds, ratio = in_turns(
            lambda: steps_of(model, adam), lambda: steps_of(plain, plain_adam), repeats=TURNS
        )
        samples = len(monitor.to_dataset().step)
    return Result(
        what=f"step of training under a Monitor, every={EVERY}",
        size=f"{NAME}, batch {BATCH}",
        ours=in_seconds(seconds),
        peer=f"{in_seconds(plain_seconds)} (without)",
        ratio=ratio,
        demanded=DEMANDED_MONITOR,
        accuracy=f"{100 * (1 / ratio - 1):.1f} % more, at most {100 * MOST_MORE:g} %; {samples} samples",
        accurate=samples == TURNS + 1,
    )


def grouped_step(how: str) -> Result:
    """AdamW with and without groups; `how`: `default` (on a CPU parameter by parameter), `foreach` or `fused`."""
    model = network()
    backward(model, *batch())
    options: dict[str, Any] = {} if how == "default" else {how: True}
    groups = param_groups(model, "adamw", lr=LR, weight_decay=0.01)
    grouped = torch.optim.AdamW(groups, **options)
    in_order = [parameter for group in groups for parameter in group["params"]]
    single = torch.optim.AdamW(in_order, lr=LR / SIZES[1], weight_decay=0.01, **options)
    single.state = grouped.state
    grouped.step()
    single.step()
    repeats = 301 if how == "fused" else 101  # short steps are more easily disturbed
    seconds, peer_seconds, ratio = in_turns(lambda: timed(grouped.step), lambda: timed(single.step), repeats)
    n_parameters = len(set(model.parameters()))
    return Result(
        what=f"step of AdamW with groups, {how}",
        size=NAME,
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (one group)",
        ratio=ratio,
        demanded=DEMANDED_GROUPED,
        accuracy=f"{len(groups)} groups with all {n_parameters} parameters",
        accurate=set(in_order) == set(model.parameters()) and len(in_order) == n_parameters,
    )


def network(bias: bool = True) -> nn.Module:
    """Return the network, drawn by `init_`."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(SIZES):
        layers += [nn.Linear(fan_in, fan_out, bias=bias), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    init_(model)
    return model


def twin(model: nn.Module) -> nn.Module:
    """Return a network that shares the parameters of another, but no hooks."""
    other = copy.deepcopy(model)
    for theirs, ours in zip(other.modules(), model.modules(), strict=True):
        if isinstance(theirs, nn.Linear) and isinstance(ours, nn.Linear):
            theirs.weight, theirs.bias = ours.weight, ours.bias
    return other


def batch() -> tuple[Tensor, Tensor]:
    """Return inputs and labels."""
    return torch.randn(BATCH, SIZES[0]), torch.randint(SIZES[-1], (BATCH,))


def backward(model: nn.Module, X: Tensor, y: Tensor) -> None:
    """Set the gradients of the loss on one batch."""
    model.zero_grad()
    nn.functional.cross_entropy(model(X), y).backward()


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that some work takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def in_turns(
    ours: Callable[[], float], peer: Callable[[], float], repeats: int
) -> tuple[float, float, float]:
    """Return the median seconds of each, and the median of the ratios of neighbouring turns, peer over ours."""
    pairs = [(ours(), peer()) for _ in range(repeats)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b / a for a, b in pairs)
