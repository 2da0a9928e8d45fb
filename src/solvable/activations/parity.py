r"""The study `parity`: a small network learns the parity of bits, but its infinite-width kernel does not.

A network of one hidden layer with activation $\frac12 \sin 6z$ was proposed as a solution of parity that its kernel
explains. It does not: kernel regression is right at test points whose antipode is in the training set, and wrong at
nearly all others. On the hypercube the eigenvalues of every dot-product kernel obey $\lambda_k \ge \lambda_{k+2}$, so
that parity is never learned before simpler functions. The network succeeds because it is *not* wide: its features
move, and its test error grows with width towards the kernel's.

Source: Simon, Anand and DeWeese, Reverse engineering the neural tangent kernel, 2022, arXiv:2106.03186; the comparison
over widths is new.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.activations.experiment import activation_of, check_gain, need_torch
from solvable.errors import InputError
from solvable.kernels import NTK, Kernel
from solvable.kernels.duals import Activation
from solvable.kernels.inputs import to_float64
from solvable.lab import Comparison, Study
from solvable.lab.compare import mean_and_error
from solvable.lab.parameters import check_parameters, seed_of
from solvable.lab.text import percent
from solvable.machine import at_once, bytes_of_training, need_memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Half of all inputs are for training: a kernel matrix of 4096 points takes a minute to decompose.
_MOST_BITS = 13
# Eigenvalues below this fraction of the largest count as zero.
_CUTOFF = 1e-10
# The nets have single precision, and squares of their gradients must be representable.
_LARGEST_GAIN = 1e9
# Number of splits over which the kernel's error is averaged; it hardly varies.
_MOST_SPLITS = 3
# A net with a lower error rate has learned parity.
_LEARNED = 0.1


@dataclass(frozen=True)
class Parameters:
    """The number of bits, the networks and the training."""

    n_bits: int = 11
    """Number of bits; inputs are all points of {-1, 1}^n_bits, half for training, half for testing."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Widths of the hidden layers to train."""

    activation: str = "0.5 sin 6z"
    """Activation: a name (relu, tanh, gelu, ...), or a sinusoid such as "0.5 sin 6z" or "cos 3z"."""

    depth: int = 1
    """Number of hidden layers."""

    w_std: float = 1.0
    """Standard deviation of the hidden layers' weights, times 1/sqrt(fan in); 1.414 suits relu."""

    b_std: float = 0.0
    """Standard deviation of the hidden layers' biases."""

    rate: float = 0.1
    """Learning rate of full-batch gradient descent on the mean squared error."""

    steps: int = 3000
    """Maximum number of steps."""

    stop_at: float = 1e-3
    """Training stops at this training error."""

    trials: int = 3
    """Number of random splits and initial weights."""

    random_state: int = 0
    """Seed of the splits and the weights."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={
                "n_bits": 2,
                "widths": 1,
                "depth": 1,
                "b_std": 0,
                "steps": 1,
                "stop_at": 0,
                "rate": 1e-9,
                "trials": 1,
            },
            at_most={"depth": 100, "b_std": 1000, "rate": 1e6, "steps": 1_000_000},
        )
        check_gain(self.w_std, self.depth, _LARGEST_GAIN)
        if self.n_bits > _MOST_BITS:
            raise InputError(
                f"n_bits is {self.n_bits}; expected at most {_MOST_BITS}, since the kernel matrix has a row for half "
                "of all 2^n_bits inputs"
            )
        symmetry = 0 if self.b_std else symmetry_of(activation_of(self.activation))
        parity = 1 if self.n_bits % 2 == 0 else -1
        if symmetry == -parity:
            words = {1: "even", -1: "odd"}
            raise InputError(
                f"a network of {self.activation!r} without biases is an {words[symmetry]} function and the parity of "
                f"{self.n_bits} bits an {words[parity]} one; expected the same symmetry; change n_bits by one, or set "
                "b_std above 0"
            )


def symmetry_of(activation: Activation) -> int:
    r"""Return 1 if $\phi(-z) = \phi(z)$, -1 if $\phi(-z) = -\phi(z)$, otherwise 0.

    >>> [symmetry_of(activation_of(name)) for name in ("cos", "0.5 sin 6z", "relu")]
    [1, -1, 0]
    """
    z = np.linspace(0.05, 3.0, 40)
    right, left = to_float64(activation(z)), to_float64(activation(-z))
    tolerance = 1e-9 * float(np.abs(right).max())
    return next((sign for sign in (1, -1) if np.abs(right - sign * left).max() <= tolerance), 0)


@dataclass(frozen=True, eq=False)
class Setting:
    """All inputs `(2^n_bits, n_bits)` and their parities, and the network's infinite-width kernel."""

    X: Float[NDArray, "n d"]
    y: Float[NDArray, "n"]
    kernel: NTK
    notes: tuple[str, ...]


def prepare(parameters: Parameters) -> Setting:
    """Return the hypercube and the kernel; raise for an activation without a known kernel."""
    need_torch()
    n = parameters.n_bits
    sizes = [n, *[max(parameters.widths)] * parameters.depth, 1]
    n_bytes = at_once(parameters.trials) * bytes_of_training(sizes, 2 ** (n - 1))
    need_memory(n_bytes, f"training networks of width {max(parameters.widths)}", "lower the widths")
    X = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    kernel = NTK(
        parameters.depth,
        activation_of(parameters.activation),
        w_std=parameters.w_std,
        b_std=parameters.b_std,
    )
    notes = (
        f"{2 ** (n - 1)} of the {2**n} points of {{-1, 1}}^{n}, drawn at random, are used for training and the others "
        "for testing; the target is the product of the coordinates, 1 or -1, so that always predicting 0 has error 1",
        "the predictions are kernel regression at infinite width and infinite time, the same at every width; the "
        "nets are finite, minus their initial output, and trained by full-batch gradient descent",
    )
    return Setting(X, X.prod(axis=1), kernel, notes)


def split(parameters: Parameters, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training and the test points of one trial."""
    n = 2**parameters.n_bits
    order = np.random.default_rng([parameters.random_state, index]).permutation(n)
    return order[: n // 2], order[n // 2 :]


def kernel_regression(
    kernel: Kernel,
    X: Float[NDArray, "n d"],
    y: Float[NDArray, "n"],
    X_test: Float[NDArray, "m d"],
) -> tuple[Float[NDArray, "m"], int]:
    r"""Return the least-norm $f(x) = k(x) K^+ y$ at `X_test`, and the number of null directions of K.

    $K^+$ is the pseudo-inverse, with eigenvalues below 1e-10 of the largest set to 0. For an odd activation a point
    and its antipode have opposite rows in K, so that the matrix is singular if both are in the training set.

    Args:
        kernel: the kernel.
        X: training inputs.
        y: training targets.
        X_test: test inputs.
    """
    values, vectors = np.linalg.eigh(to_float64(kernel(X)))
    nonzero = values > _CUTOFF * values[-1]
    dual = vectors[:, nonzero] @ (vectors[:, nonzero].T @ y / values[nonzero])
    return to_float64(kernel(X_test, X)) @ dual, int((~nonzero).sum())


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the errors of kernel regression, constant over width, and those of a deep ReLU kernel."""
    X, y = setting.X, setting.y
    deep = NTK(4, "relu", b_std=0.1)
    own, reference, null, undecided = [], [], 0, 0.0
    for index in range(min(parameters.trials, _MOST_SPLITS)):
        train, test = split(parameters, index)
        f, null = kernel_regression(setting.kernel, X[train], y[train], X[test])
        own.append(errors_of(f, y[test]))
        undecided = float((np.abs(f) <= 1e-6).mean())
        if index == 0:
            reference = errors_of(kernel_regression(deep, X[train], y[train], X[test])[0], y[test])
    mse, wrong = np.mean(own, axis=0)
    widths = np.unique(parameters.widths)
    notes = []
    if null:
        notes.append(
            f"the kernel matrix is singular ({null} of {len(X) // 2} directions of the last split are null: points "
            "whose antipode is also in the training set); its pseudo-inverse is used, with eigenvalues below 1e-10 of "
            "the largest set to 0"
        )
    if undecided:
        notes.append(
            f"on {100 * undecided:.0f} % of the test points the kernel's prediction is below 1e-6 in magnitude, which "
            "is undecided and counts as wrong"
        )
    notes.append(
        f"for comparison, kernel regression with the NTK of a ReLU network of four hidden layers: test error "
        f"{reference[0]:.3g}, {100 * reference[1]:.0f} % wrong"
    )
    shape = np.ones(len(widths))
    return xr.Dataset(
        {
            "test_mse": ("width", mse * shape),
            "error_rate": ("width", wrong * shape),
            "accuracy": ("width", (1 - wrong) * shape),
        },
        {"width": widths},
        {
            "notes": "\n".join(notes),
            "activation": parameters.activation,
            "n_bits": parameters.n_bits,
            "depth": parameters.depth,
            "relu_mse": float(reference[0]),
            "relu_error_rate": float(reference[1]),
        },
    )


def errors_of(f: Float[NDArray, "m"], y: Float[NDArray, "m"]) -> tuple[float, float]:
    """Return the mean squared error, and the share of points where the sign is wrong or undecided (|f| ≤ 1e-6)."""
    return float(np.square(f - y).mean()), float(1 - (f * y > 1e-6).mean())


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train a net of every width on one split."""
    import torch

    from solvable.networks import FullyConnected, centred, train

    train_rows, test_rows = split(parameters, index)
    widths = np.unique(parameters.widths)
    names = ("test_mse", "error_rate", "train_mse", "movement", "steps_taken")
    rows = []
    for width in widths:
        net = FullyConnected(
            parameters.n_bits,
            (int(width),) * parameters.depth,
            activation=activation_of(parameters.activation),
            w_std=parameters.w_std,
            b_std=parameters.b_std,
            random_state=seed_of(parameters.random_state, index, int(width)),
            dtype=torch.float32,
        )
        training = train(
            centred(net),
            setting.X[train_rows],
            setting.y[train_rows],
            parameters.rate,
            parameters.steps,
            X_test=setting.X[test_rows],
            y_test=setting.y[test_rows],
            record_at=[parameters.steps],
            stop_at=parameters.stop_at,
        )
        records = [training.test_loss, training.test_error_rate, training.train_loss, training.movement]
        values = [np.nan] * 4 if training.diverged else [float(record[-1]) for record in records]
        rows.append([*values, training.steps[-1]])
    columns = np.array(rows, dtype=float).T
    measurement = xr.Dataset(
        {name: ("width", column) for name, column in zip(names, columns, strict=True)}, {"width": widths}
    )
    # The relative error of an error rate of 0 is meaningless; that of the accuracy is not.
    return measurement.assign(accuracy=1 - measurement.error_rate)


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Plot error, wrong answers and movement of the first layer against width, with the kernel's errors as lines."""
    from solvable.lab.figure import COLORS, MARKERS, curves, log_axes, measured_points, subplots

    figure, axes = subplots(1, 3, height=3.0)
    percent = measurement.assign(error_rate=100 * measurement.error_rate)
    levels = {
        "test_mse": prediction.attrs["relu_mse"],
        "error_rate": 100 * prediction.attrs["relu_error_rate"],
    }
    sides = (prediction.assign(error_rate=100 * prediction.error_rate), percent)
    for ax, name in zip(axes, levels, strict=False):
        predicted, measured = sides
        curves(ax, predicted, measured, name, x="width")
        ax.axhline(levels[name], color=COLORS[2], linestyle="--", linewidth=0.9)
        ax.set_xlabel("width")
    axes[0].set(ylabel="mean square error")
    axes[1].set(ylabel="wrong answers (%)", ylim=(-4, 104))
    axes[0].axhline(1.0, color="0.6", linestyle=":", linewidth=0.9)

    trials = 100 * measurement.movement
    measured_points(axes[2], trials.width, *mean_and_error(trials), color=COLORS[0], fmt=MARKERS[0])
    axes[2].set(xlabel="width", ylabel="layer 1 moved (%)")
    axes[2].set_ylim(0, None)
    log_axes(axes[0], "y")
    widths = measurement.width.to_numpy()
    for ax in axes:
        # If training diverged, there are no points to set the limits.
        ax.set_xlim(widths[0] / 1.25, widths[-1] * 1.25)
        log_axes(ax, "x")
        ax.set_xticks(widths[:: 1 + len(widths) // 5])

    ax = axes[0]
    ax.plot([], [], "o", color=COLORS[0], label="net, measured")
    ax.plot([], [], color=COLORS[0], label="its kernel, predicted")
    ax.plot([], [], "--", color=COLORS[2], linewidth=0.9, label="deep ReLU kernel")
    ax.plot([], [], ":", color="0.6", label="predicting 0")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure


def _best_width(measurement: xr.Dataset) -> xr.Dataset | None:
    """Return the mean over trials at the width of the least test error; None if training diverged at every width."""
    mean = measurement.mean("trial")
    finite = np.isfinite(mean.test_mse)
    return mean.isel(width=int(mean.test_mse.where(finite, np.inf).argmin("width"))) if finite.any() else None


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the wrong answers of the best net and of its kernel."""
    best, bits = _best_width(measurement), prediction.attrs["n_bits"]
    kernel = float(prediction.error_rate[0])
    by_kernel = f"its infinite-width kernel is wrong on {percent(kernel, decimals=0)}"
    if best is None:
        return f"Training on the parity of {bits} bits diverged at every width; {by_kernel}"
    wrong = float(best.error_rate)
    learned = wrong < _LEARNED
    joint = " and" if learned == (kernel < _LEARNED) else ", but"
    net = f"A net of width {int(best.width)} {'learns' if learned else 'does not learn'} the parity of {bits} bits"
    return f"{net} ({percent(wrong, decimals=1)} wrong){joint} {by_kernel}"


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on the widths that learn parity, the kernel's errors, and the movement of the features."""
    facts = prediction.attrs
    mse, movement = (measurement[name].mean("trial") for name in ("test_mse", "movement"))
    kernel = float(prediction.test_mse[0]), 100 * float(prediction.error_rate[0])
    layers = "one hidden layer" if facts["depth"] == 1 else f"{facts['depth']} hidden layers"
    network = f"with {layers} of {facts['activation']}"
    task = f"the parity of {facts['n_bits']} bits"
    finite, best = np.flatnonzero(np.isfinite(mse)), _best_width(measurement)
    if best is None:
        return f"Training of nets {network} on {task} diverged at every width: lower the rate."
    narrow, wide = int(finite[0]), int(finite[-1])
    width = mse.width.to_numpy()
    sentences = [
        f"Trained on half of all inputs to learn {task}, the net {network} has test error "
        f"{float(best.test_mse):.3g} and {100 * float(best.error_rate):.1f} % wrong answers at width "
        f"{int(best.width)}; regression with its infinite-width "
        f"kernel has {kernel[0]:.3g} and {kernel[1]:.0f} % (with that of a deep ReLU net {facts['relu_mse']:.3g} and "
        f"{100 * facts['relu_error_rate']:.0f} %)."
    ]
    learned, by_kernel = float(best.error_rate) < _LEARNED, kernel[1] < 100 * _LEARNED
    if learned and not by_kernel:
        sentences.append("So the net learns parity, which its kernel does not explain.")
    elif by_kernel:
        sentences.append(
            "So the kernel learns parity" + (", and so does the net." if learned else " better than the net.")
        )
    else:
        sentences.append("Neither learns parity.")
    if wide > narrow and learned:
        by_width = measurement.test_mse.isel
        trend = trend_of((by_width(width=wide) - by_width(width=narrow)).to_numpy())
        sentences.append(
            f"From width {width[narrow]} to {width[wide]} the net's error {trend} ({float(mse[narrow]):.3g} and "
            f"{float(mse[wide]):.3g}), while the first layer moves by {100 * float(movement[narrow]):.0f} % and "
            f"{100 * float(movement[wide]):.0f} % of its norm"
            + (
                ": the net learns by moving its features, and approaches its kernel with growing width."
                if trend == "grows" and movement[wide] < movement[narrow] and mse[wide] <= kernel[0]
                else "."
            )
        )
    if len(finite) < len(mse):
        sentences.append(
            f"Training diverged at {len(mse) - len(finite)} of {len(mse)} widths; lower the rate there."
        )
    return " ".join(sentences)


def trend_of(differences: Float[NDArray, "trials"]) -> str:
    """Return the trend of differences, one per trial, in words; it counts beyond two standard errors of the mean.

    >>> [trend_of(np.array(d)) for d in ([0.1, 0.12], [-0.1, -0.12], [0.1, -0.05])]
    ['grows', 'falls', 'does not change beyond the noise of 2 trials']
    """
    finite = differences[np.isfinite(differences)]
    if len(finite) < 2:
        return "has no measurable trend with a single trial"
    mean, error = float(finite.mean()), float(finite.std(ddof=1)) / len(finite) ** 0.5
    if abs(mean) <= 2 * error:
        return f"does not change beyond the noise of {len(finite)} trials"
    return "grows" if mean > 0 else "falls"


study = Study(
    name="parity",
    title="Parity: a small net learns it, but its infinite-width kernel does not",
    paper=(
        "J. B. Simon, S. Anand, M. R. DeWeese, Reverse engineering the neural tangent kernel, ICML 2022, "
        "arXiv:2106.03186"
    ),
    question="My network learns a task: does its kernel explain this, or does it need to learn features?",
    Parameters=Parameters,
    tiny=Parameters(n_bits=5, widths=(16, 32), steps=20, trials=2),
    compared=("test_mse", "accuracy"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"regression with the net's tangent kernel $K$, after infinite time, on training inputs $X$ with parities "
        r"$y = \pm 1$: $f(x) = K(x, X) K^+ y$, where $K^+$ is the pseudo-inverse",
        r"kernel of one hidden layer with activation $\phi$, for pre-activations $u, v$ of correlation $\rho$: "
        r"$K = E[\phi(u) \phi(v)] + s^2 \rho E[\phi'(u) \phi'(v)]$, $s^2$ the variance of $u$",
        r"an answer is wrong if the sign of $f(x)$ is not that of $y = \prod_i x_i$",
    ),
)
