r"""`DesignedActivation`: an activation with its target kernel and the error of its own kernel."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.activations import finite_width
from solvable.activations.formula import Formula
from solvable.activations.target import ANGLES, COSINES
from solvable.checks import whole
from solvable.errors import InputError
from solvable.kernels.duals import Activation
from solvable.kernels.duals.base import PointNumbers
from solvable.kernels.duals.hermite import normal_density, panel_rule
from solvable.kernels.duals.hermite_series import HermiteSeries
from solvable.kernels.duals.mehler import AnyActivation
from solvable.kernels.inputs import Array, Namespace
from solvable.kernels.networks import NNGP, NTK
from solvable.lab.text import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solvable.activations.modules import ActivationModule

Floats = NDArray[np.float64]

_NEAR_END = 5
"""Number of angles next to c = 1, out of 100, that `kernel_rms_error` omits."""
_TOLERANCE = 1e-8
_EXACT = 1e-12


@dataclass(frozen=True, repr=False)
class DesignedActivation(Activation):
    r"""An activation $\phi$ with which one hidden layer has a given kernel; from `design`.

    The kernel is that of weights of variance 1 and no biases, in the hidden layer and in the readout, and of inputs of
    norm $\sqrt d$. The object is an immutable value, an `Activation` of `solvable.kernels` (`NTK(1, phi, w_std=1)` is
    the kernel for inputs of every norm), and a function of NumPy arrays and torch tensors.

    Attributes:
        formula: $\phi$ as a formula.
        kind: "ntk", "nngp" or "first layer".
        family: "hermite", "relu+cos" or "shifted relus".
        degree: degree of `coefficients`.
        target_name: the target kernel, in words.
        target: the target kernel at 100 angles, equally spaced from 0 to π.
        checked: if the target is a function of real numbers only, the last power whose coefficient could be checked;
            None if all coefficients are known.
    """

    formula: Formula
    kind: str
    family: str
    degree: int
    target_name: str
    target: tuple[float, ...]
    checked: int | None = None

    def __call__(self, z: Array) -> Array:
        r"""Return $\phi(z)$, elementwise, for a NumPy array or a torch tensor (with gradient)."""
        return self.formula(z)

    def derivative(self, z: Array) -> Array:
        return self.formula.derivative(z)

    def prepare(
        self, xp: Namespace, variances: Array, derivative: bool = True, degree: int = 0
    ) -> PointNumbers:
        return self._dual.prepare(xp, variances, derivative, degree)

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        return self._dual.pair(xp, x, z, c, derivative)

    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        return self._dual.moments(xp, variances, derivative)

    @cached_property
    def _dual(self) -> Activation:
        formula = self.formula
        if not formula.rectifiers and formula.cosine is None:
            return HermiteSeries(formula.hermite)
        return AnyActivation(formula, formula.kinks, _TOLERANCE)

    @property
    def kinks(self) -> tuple[float, ...]:
        r"""Positions where $\phi'$ jumps."""
        return self.formula.kinks

    @property
    def coefficients(self) -> Floats:
        r"""The Hermite coefficients $b_k = E[\phi(z) h_k(z)]$, k = 0 … degree, signed."""
        return self.formula.coefficients(self.degree)

    def curve(self, cosine: ArrayLike) -> Floats:
        r"""Return the kernel of one hidden layer with this activation, at cosines in [-1, 1] of any shape."""
        c = finite_width.checked_cosines(cosine)
        return self.formula.kernel(c.ravel(), self.kind).reshape(c.shape)

    @property
    def kernel(self) -> NTK | NNGP:
        """The kernel as a function of points: `kernel(X, Z)`.

        Raises:
            InputError: if only the first layer is trained, which has only the `curve`.
        """
        if self.kind == "first layer":
            raise InputError(
                "kind is 'first layer'; expected 'ntk' or 'nngp' for a kernel of points; use .curve(cosine)"
            )
        return (NTK if self.kind == "ntk" else NNGP)(1, self, w_std=1.0)

    @property
    def errors(self) -> Floats:
        """The kernel minus the target, at 100 angles, equally spaced from 0 to π."""
        return self.formula.kernel(COSINES, self.kind) - np.array(self.target)

    @property
    def kernel_error(self) -> float:
        """The largest error over the angles, relative to the target's K(1)."""
        return float(np.max(np.abs(self.errors))) / self.target[0]

    @property
    def kernel_rms_error(self) -> float:
        """The root-mean-square error over the angles, without the 9 degrees next to c = 1, relative to K(1)."""
        return float(np.sqrt(np.mean(self.errors[_NEAR_END:] ** 2))) / self.target[0]

    @property
    def closeness(self) -> str:
        """The two errors in words."""
        worst, rms = self.kernel_error, self.kernel_rms_error
        if worst < _EXACT:
            return "exact, K(1) included"
        return f"off by {percent(rms, 2)} rms away from c = 1, by at most {percent(worst, 2)} of K(1)"

    @property
    def description(self) -> str:
        """Formula, target and error in one line."""
        return f"{self.formula}; its kernel is {self.target_name}, {self.closeness}"

    @property
    def fourth_moment(self) -> float:
        r"""$E[\phi(z)^4]$, z standard normal; a finite network fluctuates less if it is small."""
        # High powers have their weight at large z.
        z, w = panel_rule(12.0 + 2 * len(self.formula.hermite) ** 0.5, 128, np.array(self.kinks))
        return float(np.sum(self(z) ** 4 * w * normal_density(z)))

    def finite_width_std(self, cosine: ArrayLike, width: int) -> Floats:
        r"""Return the standard deviation of the kernel of a network of `width` neurons; its mean is `curve`.

        Args:
            cosine: in [-1, 1], of any shape.
            width: number of neurons.
        """
        return finite_width.finite_width_std(self, cosine, width, self.kind)

    @overload
    def required_width(self, relative_std: float, cosine: float = 0.5) -> int: ...

    @overload
    def required_width(self, relative_std: float, cosine: finite_width.Cosines) -> NDArray[np.int64]: ...

    def required_width(
        self, relative_std: float, cosine: float | finite_width.Cosines = 0.5
    ) -> int | NDArray[np.int64]:
        r"""Return the width at which the kernel has the given relative standard deviation.

        Args:
            relative_std: the relative standard deviation, such as 0.1 for 10 %.
            cosine: cosine between inputs, in [-1, 1]; for one number the result is an int, for an array integers of its
                shape.
        """
        return finite_width.required_width(self, relative_std, cosine, self.kind)

    def plot(self, width: int = 4096) -> "Figure":
        """Plot the target kernel and the kernel of a network of finite width, and the activation.

        Args:
            width: number of neurons; the band is the standard deviation of the network's kernel.
        """
        from solvable.lab.figure import COLORS, house_style, prediction_line, subplots

        width = whole("width", width, at_least=1)
        with house_style():
            figure, (left, right) = subplots(1, 2)
            degrees = np.rad2deg(ANGLES)
            mean, std = self.curve(COSINES), self.finite_width_std(COSINES, width)
            label = f"one hidden layer, N = {width}: ± 1 std"
            prediction_line(left, degrees, mean, mean - std, mean + std, color=COLORS[1], label=label)
            left.plot(degrees, self.target, linestyle="--", color=COLORS[0], label="target")
            left.set(
                xlabel="angle between inputs (degrees)",
                ylabel=_KERNELS[self.kind],
                title=f"off by at most {percent(self.kernel_error, 2)} of K(1)",
            )
            left.legend()
            z = np.linspace(-4, 4, 801)
            right.plot(z, self(z), color=COLORS[1])
            right.set(xlabel="pre-activation z (standard deviations)", ylabel="φ(z)", title=self.family)
        return figure

    def module(self) -> "ActivationModule":
        """Return the activation as a `torch.nn.Module`."""
        from solvable.activations.modules import ActivationModule

        return ActivationModule(self)

    def source(self, library: str = "numpy", name: str = "activation") -> str:
        """Return Python code of a plain function that computes the activation, with all digits.

        Args:
            library: "numpy" or "torch".
            name: name of the function.
        """
        return self.formula.source(
            library, whole_name(name), f"A network of one hidden layer with it has the {self._title}."
        )

    @property
    def _title(self) -> str:
        return (
            f"{_KERNELS[self.kind]} of {self.target_name}".replace("\n", " ")
            .replace("\\", "/")
            .replace('"', "'")
        )

    def __repr__(self) -> str:
        return f"<DesignedActivation {self.family}, {self.kind}: {self.formula}>"

    def __str__(self) -> str:
        deviation = self.finite_width_std([0.5, 0.9], 1)
        means = self.curve([0.5, 0.9])
        lines = [
            f"phi(z) = {self.formula}",
            f"For inputs of norm sqrt(d), the {_KERNELS[self.kind]} of one hidden layer (weights of variance 1, no "
            f"biases) is {self.target_name},",
            f"{self.closeness}, which is {self.target[0]:.4g}.",
            f"With N neurons the kernel's standard deviation is {deviation[0]:.3g}/sqrt(N) at c = 0.5 (mean "
            f"{means[0]:.3g}) and {deviation[1]:.3g}/sqrt(N) at c = 0.9 (mean {means[1]:.3g}).",
        ]
        if self.checked is not None:
            lines.append(
                f"The target is a function of real cosines: its power coefficients were checked to a_{self.checked}; "
                "beyond that, only that a series without negative coefficients is close to it."
            )
        return "\n".join(lines)


_KERNELS = {"ntk": "NTK", "nngp": "NNGP kernel", "first layer": "NTK of the first layer alone"}


def whole_name(name: str) -> str:
    """Return `name` if it is a valid name of a function."""
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError(f"name is {name!r}; expected a valid name of a function, such as 'activation'")
    return name
