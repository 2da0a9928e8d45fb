r"""Activations with a closed-form dual: rectifiers, erf, GELU, sinusoids, Gaussian bump, exponential.

To avoid cancellation $(1+a)(1+b) - c^2$ is computed as $1 + a + b + (ab - c^2)$, where $ab - c^2$ vanishes for parallel
points. At large variances and nearly parallel points $ab - c^2$ itself is inaccurate: the relative error of the slopes
of erf and the Gaussian bump, and of the bump's values, is then about $10^{-16}$ times the variance (1e-10 at variance
$10^6$), and that of sines $10^{-16} \omega^2$ times it. Erf's values and GELU are far more accurate.
"""

from dataclasses import dataclass
from math import cos, pi, sqrt

from array_api_compat import is_torch_array
from scipy.special import erf as numpy_erf

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.kernels.duals.base import Activation, PointNumbers, check_moment, clipped, library_of
from solvable.kernels.inputs import Array, Namespace


@dataclass(frozen=True)
class ClosedForm(Activation):
    """An activation whose dual is a formula of the covariances."""

    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        moments = self.pair(xp, (variances,), (variances,), variances * 1.0, derivative)
        for moment in moments:
            if moment is not None:
                check_moment(repr(self), moment, variances)
        return moments


@dataclass(frozen=True)
class ABReLU(ClosedForm):
    r"""$\phi(z) = \alpha \min(z, 0) + \beta \max(z, 0)$: ReLU, leaky ReLU, absolute value, identity.

    With $\theta = \arccos(c/\sqrt{ab})$: $E[\phi\phi] = (\beta-\alpha)^2 \sqrt{ab}\,[\sin\theta +
    (\pi-\theta)\cos\theta]/2\pi + \alpha\beta c$ and $E[\phi'\phi'] = (\beta-\alpha)^2(\pi-\theta)/2\pi + \alpha\beta$.

    Args:
        negative: $\alpha$, the slope below 0.
        positive: $\beta$, the slope above 0; at least one of the two is not 0.

    Source: Cho and Saul, Kernel methods for deep learning, 2009.

    >>> ABReLU()
    ABReLU(negative=0.0, positive=1.0)
    >>> value, slope = ABReLU().dual(1.0, 1.0, 0.0)
    >>> print(f"{value:.4f} {slope:.4f}")
    0.1592 0.2500
    """

    negative: float = 0.0
    positive: float = 1.0

    def __post_init__(self) -> None:
        for name in ("negative", "positive"):
            object.__setattr__(self, name, one_number(name, getattr(self, name)))
        if self.negative == self.positive == 0:
            raise InputError("both slopes of ABReLU are 0; expected another value of negative or positive")

    @property
    def second_moment(self) -> float:
        r"""$E[\phi(z)^2] = E[\phi'(z)^2]$ at unit variance, $(\alpha^2 + \beta^2)/2$."""
        return (self.negative**2 + self.positive**2) / 2

    @property
    def bend(self) -> float:
        r"""$(\beta-\alpha)^2 / (\alpha^2+\beta^2)$: 1 for ReLU, 0 for the identity, 2 for the absolute value."""
        return (self.positive - self.negative) ** 2 / (self.negative**2 + self.positive**2)

    def __call__(self, z: Array) -> Array:
        xp = library_of(z)
        return self.negative * xp.clip(z, None, 0.0) + self.positive * xp.clip(z, 0.0, None)

    def derivative(self, z: Array) -> Array:
        return self.negative + (self.positive - self.negative) * library_of(z).astype(z > 0, z.dtype)

    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        # In `pair` the angle of a point with itself would have an error of 1e-8.
        value = variances * self.second_moment
        return value, xp.ones_like(variances) * self.second_moment if derivative else None

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        s = xp.sqrt(x[0]) * xp.sqrt(z[0])
        # A point without variance has no angle; its kernel is 0 for any.
        rho = clipped(xp, c / xp.where(s > 0, s, xp.ones_like(s)))
        theta = xp.acos(rho)
        product, square = self.negative * self.positive, (self.positive - self.negative) ** 2
        rest = pi - theta
        value = s * (xp.sqrt((1 - rho) * (1 + rho)) + rest * rho) * (square / (2 * pi)) + product * s * rho
        return value, rest * (square / (2 * pi)) + product if derivative else None


@dataclass(frozen=True)
class Erf(ClosedForm):
    r"""$\phi(z) = \operatorname{erf}(s z)$.

    With $A = 1 + 2 s^2 a$, $B = 1 + 2 s^2 b$: $E[\phi\phi] = \frac{2}{\pi} \arcsin(2 s^2 c/\sqrt{AB})$,
    $E[\phi'\phi'] = \frac{4 s^2}{\pi} / \sqrt{AB - 4 s^4 c^2}$.

    Args:
        scale: s > 0.

    Source: Williams, Computing with infinite networks, 1997.

    >>> print(f"{Erf().dual(1.0, 1.0, 0.5)[0]:.6f}")
    0.216347
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", one_number("scale", self.scale, above=0))

    def __call__(self, z: Array) -> Array:
        return error_function(self.scale * z)

    def derivative(self, z: Array) -> Array:
        return library_of(z).exp(-((self.scale * z) ** 2)) * (2 * self.scale / sqrt(pi))

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        t = 2 * self.scale**2
        a, b = t * x[0], t * z[0]
        c = t * c
        value = xp.asin(clipped(xp, c / (xp.sqrt(1 + a) * xp.sqrt(1 + b)))) * (2 / pi)
        if not derivative:
            return value, None
        return value, (2 * t / pi) / xp.sqrt(1 + a + b + not_negative(xp, a * b - c * c))


@dataclass(frozen=True)
class GELU(ClosedForm):
    r"""$\phi(z) = z\,\Phi(z)$ with the normal distribution function $\Phi$ (not the tanh approximation).

    With $A = 1+a$, $B = 1+b$, $D = AB - c^2$, $P = 1/(2\pi\sqrt D)$, $S = \arcsin(c/\sqrt{AB})/2\pi$:
    $E[\phi\phi] = c/4 + cS + P\,[ab - c^2 + c^2(1/A + 1/B)]$ and
    $E[\phi'\phi'] = 1/4 + S + cP\,(1/A + 1/B + 1/D)$.

    >>> print(f"{GELU().dual(1.0, 1.0, 0.5)[0]:.6f}")
    0.227295
    """

    def __call__(self, z: Array) -> Array:
        return 0.5 * z * (1 + error_function(z * sqrt(0.5)))

    def derivative(self, z: Array) -> Array:
        density = library_of(z).exp(-0.5 * z * z) / sqrt(2 * pi)
        return 0.5 * (1 + error_function(z * sqrt(0.5))) + z * density

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        a, b = x[0], z[0]
        A, B = 1 + a, 1 + b
        gap = not_negative(xp, a * b - c * c)
        D = A + b + gap
        P = 1 / (2 * pi * xp.sqrt(D))
        S = xp.asin(clipped(xp, c / (xp.sqrt(A) * xp.sqrt(B)))) * (0.5 / pi)
        inverse = 1 / A + 1 / B
        value = c * (0.25 + S) + P * (gap + c * c * inverse)
        return value, 0.25 + S + c * P * (inverse + 1 / D) if derivative else None


@dataclass(frozen=True)
class Sine(ClosedForm):
    r"""$\phi(z) = A \sin(\omega z + p)$; the cosine has $p = \pi/2$.

    $E[\phi\phi] = \frac{A^2}{2} [e^{-\omega^2(a+b-2c)/2} - \cos(2p)\, e^{-\omega^2(a+b+2c)/2}]$;
    $E[\phi'\phi']$ is $\omega^2$ times the same with a plus.

    Args:
        amplitude: A, not 0.
        frequency: $\omega$, not 0.
        phase: p, in radians.

    >>> value, slope = Sine(amplitude=0.5, frequency=6.0).dual(1.0, 1.0, 1.0)
    >>> print(f"{value + slope:.3f}")  # the paper's parity solver: its NTK at identical inputs
    4.625
    """

    amplitude: float = 1.0
    frequency: float = 1.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        for name in ("amplitude", "frequency", "phase"):
            object.__setattr__(self, name, one_number(name, getattr(self, name)))
        for name in ("amplitude", "frequency"):
            if getattr(self, name) == 0:
                raise InputError(f"{name} is 0, which makes the activation constant; expected another number")

    def __call__(self, z: Array) -> Array:
        return self.amplitude * library_of(z).sin(self.frequency * z + self.phase)

    def derivative(self, z: Array) -> Array:
        return self.amplitude * self.frequency * library_of(z).cos(self.frequency * z + self.phase)

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        # In terms of sinh and cosh of the covariance this would overflow.
        squared = self.frequency**2
        both = x[0] + z[0]
        near = xp.exp((both - 2 * c) * (-squared / 2)) * (self.amplitude**2 / 2)
        far = xp.exp((both + 2 * c) * (-squared / 2)) * (cos(2 * self.phase) * self.amplitude**2 / 2)
        return near - far, (near + far) * squared if derivative else None


@dataclass(frozen=True)
class GaussianBump(ClosedForm):
    r"""$\phi(z) = e^{-\gamma z^2}$.

    With $D = (1+2\gamma a)(1+2\gamma b) - 4\gamma^2c^2$: $E[\phi\phi] = D^{-1/2}$,
    $E[\phi'\phi'] = 4\gamma^2 c\, D^{-3/2}$.

    Args:
        gamma: $\gamma > 0$.

    >>> print(f"{GaussianBump().dual(1.0, 1.0, 0.0)[0]:.6f}")
    0.333333
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", one_number("gamma", self.gamma, above=0))

    def __call__(self, z: Array) -> Array:
        return library_of(z).exp(-self.gamma * z * z)

    def derivative(self, z: Array) -> Array:
        return -2 * self.gamma * z * self(z)

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        t = 2 * self.gamma
        a, b, c = t * x[0], t * z[0], t * c
        D = 1 + a + b + not_negative(xp, a * b - c * c)
        value = 1 / xp.sqrt(D)
        return value, t * c * value / D if derivative else None


@dataclass(frozen=True)
class Exponential(ClosedForm):
    r"""$\phi(z) = e^{sz}$: $E[\phi\phi] = e^{s^2(a+b+2c)/2}$, $E[\phi'\phi']$ is $s^2$ times that.

    It grows fast: at pre-activation variances of a few hundred the kernel overflows, which raises an error.

    Args:
        scale: s, not 0.

    >>> print(f"{Exponential().dual(1.0, 1.0, 0.0)[0]:.6f}")
    2.718282
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", one_number("scale", self.scale))
        if self.scale == 0:
            raise InputError("scale is 0, which makes the activation constant; expected another number")

    def __call__(self, z: Array) -> Array:
        return library_of(z).exp(self.scale * z)

    def derivative(self, z: Array) -> Array:
        return self.scale * self(z)

    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        exponent = 2 * self.scale**2 * variances
        # Checked first, since exp would warn.
        limit = 709.0 if "64" in str(variances.dtype) else 88.0
        infinite = xp.full(variances.shape, float("inf"), dtype=variances.dtype, device=variances.device)
        check_moment(repr(self), xp.where(exponent < limit, exponent, infinite), variances)
        value = xp.exp(exponent)
        return value, value * self.scale**2 if derivative else None

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        value = xp.exp((x[0] + z[0] + 2 * c) * (self.scale**2 / 2))
        return value, value * self.scale**2 if derivative else None


def error_function(z: Array) -> Array:
    """Return erf(z) of a NumPy array or a torch tensor."""
    return z.erf() if is_torch_array(z) else numpy_erf(z)


def not_negative(xp: Namespace, gap: Array) -> Array:
    """Return $ab - c^2$ with negative values from rounding set to 0; complex ones are unchanged."""
    return gap if xp.isdtype(gap.dtype, "complex floating") else xp.clip(gap, 0.0, None)
