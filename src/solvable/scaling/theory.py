r"""The spectral condition for feature learning in closed form: initialisation, learning rates, norms, depth, richness.

A layer $h_l = W_l \phi(h_{l-1})$ learns features at every width if and only if

$$ \|W_l\|_* \sim \sqrt{n_l / n_{l-1}} \quad \text{and} \quad \|\Delta W_l\|_* \sim \sqrt{n_l / n_{l-1}}, $$

where $\|\cdot\|_*$ is the largest singular value, $n_{l-1}$ the `fan_in` and $n_l$ the `fan_out`. The *scaled norm* of
a matrix is $\sqrt{n_{l-1}/n_l}\,\|W\|_*$: the condition asks that it does not depend on width, for the weights and for
each update.

Source: Yang, Simon and Bernstein, A spectral condition for feature learning, 2023, arXiv:2310.17813.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from solvable.checks import choice, numbers, one_number, whole

FAMILIES = {
    "sgd": "sgd",
    "adam": "sign",
    "adamw": "sign",
    "nadam": "sign",
    "adagrad": "sign",
    "rmsprop": "sign",
    "lion": "sign",
    "sign": "sign",
    "muon": "orthogonal",
    "orthogonal": "orthogonal",
    "spectral": "orthogonal",
    "frobenius": "orthogonal",
}
"""Optimizer -> the kind of its update: `sgd` (the gradient), `sign` (entries of size lr) or `orthogonal` (a matrix of
norm lr)."""

# Mean and standard deviation of the Tracy-Widom law of order 1.
_TRACY_WIDOM = -1.2065335745820, 1.2679814050416


def spectral_scale(fan_in: ArrayLike, fan_out: ArrayLike) -> Any:
    r"""Return $\sqrt{n_{out}/n_{in}}$, the norm that the condition asks of a layer's weights and of its updates.

    Args:
        fan_in: $n_{in} > 0$; for a convolution the channels of one group times the kernel's positions.
        fan_out: $n_{out} > 0$.

    Source: condition 1 of arXiv:2310.17813.

    >>> spectral_scale(1024, 256)
    0.5
    """
    return _plain(np.sqrt(_positive("fan_out", fan_out) / _positive("fan_in", fan_in)))


def init_std(fan_in: ArrayLike, fan_out: ArrayLike, gain: ArrayLike = 1.0, kernel_size: ArrayLike = 1) -> Any:
    r"""Return the standard deviation of independent entries whose matrix has a scaled norm of order `gain`.

    $$ \sigma = \frac{g}{\sqrt{n_{in}}} \min\left(1, \sqrt{n_{out}/n_{in}}\right) $$

    For square and widening layers this is LeCun's initialisation (He's with a gain of $\sqrt 2$). It is smaller for
    layers with fewer outputs than inputs, such as a readout.

    Args:
        fan_in: $n_{in} > 0$; for a convolution the channels of one group times `kernel_size`.
        fan_out: $n_{out} > 0$; for a convolution the channels of one group.
        gain: $g > 0$.
        kernel_size: number of positions of a convolution's kernel; the minimum compares channels with channels.

    Source: eq. 6 of arXiv:2310.17813, with the constants kept.

    >>> [round(init_std(*fans), 6) for fans in ((64, 512), (512, 512), (512, 10))]
    [0.125, 0.044194, 0.006176]
    """
    inputs, outputs = _positive("fan_in", fan_in), _positive("fan_out", fan_out)
    channels = inputs / _positive("kernel_size", kernel_size)
    return _plain(_positive("gain", gain) / np.sqrt(inputs) * np.minimum(1.0, np.sqrt(outputs / channels)))


def gaussian_spectral_norm(
    n_out: int, n_in: int, std: float = 1.0, order: str = "tracy-widom"
) -> tuple[float, float]:
    r"""Return mean and standard deviation of the largest singular value of a matrix of independent N(0, std²) entries.

    With $n = \max$, $p = \min$ of the two sizes, $\mu = (\sqrt{n-1} + \sqrt p)^2$ and
    $s = (\sqrt{n-1} + \sqrt p)\,(1/\sqrt{n-1} + 1/\sqrt p)^{1/3}$, the square is about $\mu + s\,T$ with $T$ of the
    Tracy-Widom law of order 1. The mean is within 0.2 % from 64 x 64 on and 2.5 % at 4 x 4. A single row or column has
    the chi law, exactly.

    Args:
        n_out: number of rows.
        n_in: number of columns.
        std: standard deviation of the entries, at least 0.
        order: `tracy-widom`, or `edge` for the mean $\sigma(\sqrt{n_{out}} + \sqrt{n_{in}})$ of infinite matrices.

    Source: Johnstone, 2001, On the distribution of the largest eigenvalue in principal components analysis.

    >>> mean, std = gaussian_spectral_norm(1024, 1024)
    >>> round(mean, 2), round(std, 2)
    (63.74, 0.25)
    """
    p, n = sorted((whole("n_out", n_out, at_least=1), whole("n_in", n_in, at_least=1)))
    std = one_number("std", std, at_least=0)
    choice("order", order, ("tracy-widom", "edge"))
    if p == 1:
        # The difference of two large logarithms would lose digits; the series is exact to 1e-13 by then.
        mean = np.sqrt(2) * np.exp(gammaln((n + 1) / 2) - gammaln(n / 2))
        spread = np.sqrt(max(n - mean**2, 0.0))
        if n >= 1000:
            mean, spread = np.sqrt(n - 0.5 + 1 / (8 * n)), np.sqrt(0.5 - 1 / (8 * n))
    else:
        root = np.sqrt(n - 1) + np.sqrt(p)
        scale = root * np.cbrt(1 / np.sqrt(n - 1) + 1 / np.sqrt(p))
        mean = np.sqrt(root**2 + _TRACY_WIDOM[0] * scale)
        spread = _TRACY_WIDOM[1] * scale / (2 * root)
    if order == "edge":
        mean = np.sqrt(n) + np.sqrt(p)
    return float(std * mean), float(std * spread)


def lr_multiplier(fan_in: ArrayLike, fan_out: ArrayLike, optimizer: str, groups: ArrayLike = 1) -> Any:
    r"""Return the learning rate of a layer, divided by the one learning rate that is tuned.

    An update then has a scaled norm of order lr in every layer and at every width:

    | optimizer | norm of an update | multiplier |
    |---|---|---|
    | SGD, with momentum or not | lr times the gradient's, $\sqrt{n_{in}/n_{out}}$ | $n_{out}/n_{in}$ |
    | Adam(W), NAdam, RMSprop, Adagrad, Lion, sign | $lr \sqrt{n_{in} n_{out}}$ | $1/n_{in}$ |
    | orthogonal, or of norm 1 | lr | $\sqrt{n_{out}/n_{in}}$ |

    Args:
        fan_in: $n_{in} > 0$, of one group.
        fan_out: $n_{out} > 0$, of all groups together.
        optimizer: a name in `FAMILIES`; `muon` is an update of norm 1 here (`param_groups` compensates for the factor
            of `torch.optim.Muon`).
        groups: G, of a grouped convolution. Each of its G matrices has $n_{out}/G$ outputs and gets 1/G of the
            gradient, which for SGD cancels.

    Source: sections 3 and 4 of arXiv:2310.17813.

    >>> [lr_multiplier(512, 10, optimizer) for optimizer in ("sgd", "adam")]
    [0.01953125, 0.001953125]
    """
    family = FAMILIES[choice("optimizer", optimizer, FAMILIES)]
    inputs, outputs = _positive("fan_in", fan_in), _positive("fan_out", fan_out)
    shares = _positive("groups", groups)
    if family == "sgd":
        return _plain(outputs / inputs + 0 * shares)
    return _plain(
        1 / inputs + 0 * outputs * shares if family == "sign" else np.sqrt(outputs / shares / inputs)
    )


class DepthMultipliers(NamedTuple):
    r"""Factors for the L residual blocks $h \leftarrow h + r\,F(h)$ of a network.

    Attributes:
        residual: $r = (L/L_0)^{-\alpha}$, in the forward pass.
        lr: factor of the learning rates of the blocks' parameters.
        eps: factor of Adam's eps for them.
    """

    residual: float
    lr: float
    eps: float


def depth_multipliers(
    alpha: float, depth: int, base_depth: int = 1, optimizer: str = "adam"
) -> DepthMultipliers:
    r"""Return the factors with which a residual network learns features at every depth.

    $$ r = (L/L_0)^{-\alpha}, \qquad \text{lr: } (L/L_0)^{\alpha - 1} \text{ (Adam, orthogonal)}, \quad
       (L/L_0)^{2\alpha - 1} \text{ (SGD)}, \qquad \text{eps: } (L/L_0)^{-\alpha}. $$

    Args:
        alpha: 1 (CompleteP: every block keeps learning features of its own) or 1/2 (blocks become linear), or between.
        depth: L, the number of residual blocks.
        base_depth: $L_0$, the depth at which nothing changes.
        optimizer: a name in `FAMILIES`.

    Source: arXiv:2310.02244 (1/2), arXiv:2505.01618 (1).

    >>> depth_multipliers(1.0, 32, 4, "sgd")
    DepthMultipliers(residual=0.125, lr=8.0, eps=0.125)
    """
    alpha = one_number("alpha", alpha, at_least=0, at_most=1)
    ratio = whole("depth", depth, at_least=1) / whole("base_depth", base_depth, at_least=1)
    family = FAMILIES[choice("optimizer", optimizer, FAMILIES)]
    power = 2 * alpha - 1 if family == "sgd" else alpha - 1
    return DepthMultipliers(ratio**-alpha, ratio**power, ratio**-alpha)


def max_lr_richness(gamma: ArrayLike, depth: int, y: float = 1.0) -> Any:
    r"""Return the largest learning rate at which gradient descent is stable at the solution of the solvable model.

    The model is $f = (a_1 \cdots a_L - 1)/\gamma$ from $a_i = 1$, trained to $y$ on $\frac12 (f - y)^2$. At the
    solution its sharpness is $\lambda = L\,(1 + \gamma y)^{2 - 2/L}/\gamma^2$, and the learning rate $2/\lambda$: about
    $2\gamma^2/L$ for lazy training ($\gamma \ll 1$) and $(2/L)\,\gamma^{2/L}$ for rich ($\gamma \gg 1$, $y = 1$).

    Args:
        gamma: richness, > 0.
        depth: L, the number of layers of weights.
        y: target, with $1 + \gamma y > 0$.

    Source: Atanasov, Meterez, Simon and Pehlevan, 2024, arXiv:2410.04642.

    >>> [round(max_lr_richness(gamma, 2), 4) for gamma in (0.01, 1.0, 100.0)]
    [0.0001, 0.5, 99.0099]
    """
    gamma, depth = _positive("gamma", gamma), whole("depth", depth, at_least=1)
    product = numbers("1 + gamma * y", 1 + gamma * one_number("y", y), above=0)
    # By logarithms, since the square of a large richness has no double, and the result does.
    return _plain(2 / depth * np.exp(2 * np.log(gamma) - (2 - 2 / depth) * np.log(product)))


def plateau_exponent(depth: int) -> float:
    r"""Return the exponent of richness with which the loss plateau at the start lengthens: $1 - 2/L$.

    It counts steps at a fixed share of `max_lr_richness`, for $\gamma \gg 1$; at L = 2 they grow as $\ln\gamma$.

    Args:
        depth: L, the number of layers of weights, at least 2.

    Source: arXiv:2410.04642.

    >>> plateau_exponent(4)
    0.5
    """
    return 1 - 2 / whole("depth", depth, at_least=2)


def _positive(name: str, values: ArrayLike) -> NDArray[np.float64]:
    return numbers(name, values, above=0)


def _plain(values: NDArray[np.float64]) -> Any:
    """Return a Python float for a single number, since NumPy's do not load with `torch.load(weights_only=True)`."""
    return float(values) if np.ndim(values) == 0 else values
