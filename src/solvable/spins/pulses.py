r"""Pulses: the field at the donor and the electric and magnetic drives in time, with units.

The field at the donor, measured from the ionisation point, is

$$E(t) + E_c(t) \cos 2 \pi \nu_E t + E_s(t) \sin 2 \pi \nu_E t$$

and the magnetic drive is $B_x(t)$, $B_y(t)$ in the frame that turns at $\nu_B$: *rotating* amplitudes, half of the
linear $B_{ac}$ that a coil makes. The phases of both drives count from the beginning of the pulse.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from solvable.checks import numbers, one_number
from solvable.errors import InputError, missing_extra
from solvable.lab.files import atomically
from solvable.spins.device import Complex, DonorDevice, field
from solvable.spins.shapes import Joined, Sampled, Shape, Weighted, Windowed, as_shape

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

CONTROLS = ("E_V_per_m", "E_c_V_per_m", "E_s_V_per_m", "B_x_T", "B_y_T")
_LARGEST_T = 0.1
_CHECKED_TIMES = 1001
# Joints are known to rounding: so far inside of them a piece is on its own.
_INSIDE_NS = 1e-7


@dataclass(frozen=True)
class Pulse:
    r"""Five controls in time.

    Attributes:
        duration_ns: length; 0 is the pulse that does nothing.
        E_V_per_m: slow field from the ionisation point, a shape or a number, as are all controls.
        E_c_V_per_m: amplitude of the electric drive along the cosine.
        E_s_V_per_m: that along the sine.
        B_x_T: rotating amplitude of the magnetic drive along x.
        B_y_T: that along y.
        nu_E_GHz: frequency of the electric drive; not needed without one.
        nu_B_GHz: frequency of the magnetic drive, and of the frame.

    >>> from solvable.spins.shapes import Ramp
    >>> sweep = Pulse(1000, E_V_per_m=Ramp(-5000, 5000))
    >>> sweep.sample([0, 500, 1000])["E_V_per_m"].tolist()
    [-5000.0, 0.0, 5000.0]
    """

    duration_ns: float
    E_V_per_m: Shape | float = 0.0
    E_c_V_per_m: Shape | float = 0.0
    E_s_V_per_m: Shape | float = 0.0
    B_x_T: Shape | float = 0.0
    B_y_T: Shape | float = 0.0
    nu_E_GHz: float = 0.0
    nu_B_GHz: float = 0.0

    def __post_init__(self) -> None:
        one_number("duration_ns", self.duration_ns, at_least=0, at_most=1e7)
        for name in ("nu_E_GHz", "nu_B_GHz"):
            one_number(name, getattr(self, name), at_least=0, at_most=200)
        for name in CONTROLS:
            as_shape(name, getattr(self, name))
        if self.duration_ns > 0:
            values = self.controls(np.linspace(0, self.duration_ns, _CHECKED_TIMES))
            for name, one in zip(CONTROLS[:3], values.T[:3], strict=True):
                field(one, name)
            for name, one in zip(CONTROLS[3:], values.T[3:], strict=True):
                if (bad := ~(np.abs(one) <= _LARGEST_T)).any():
                    raise InputError(
                        f"{name} is {one[bad][0]:g}; expected at most {_LARGEST_T} T, and this looks like mT"
                    )
            if values[:, 1:3].any() and self.nu_E_GHz == 0:
                raise InputError("the pulse has an electric drive, so nu_E_GHz is needed")
            if values[:, 3:].any() and self.nu_B_GHz == 0:
                raise InputError("the pulse has a magnetic drive, so nu_B_GHz is needed")

    def controls(self, t_ns: ArrayLike) -> Array:
        """Return the five controls at these times, the shape of `t_ns` + (5,), in the order of `CONTROLS`."""
        t = np.asarray(t_ns, dtype=np.float64)
        duration = self.duration_ns or 1.0  # of a pulse without length only the beginning is asked for
        return np.stack([as_shape(name, getattr(self, name))(t, duration) for name in CONTROLS], -1)

    def inside(self, t_ns: ArrayLike, begin_ns: float, end_ns: float) -> Array:
        """Return the controls of a stretch between two joints; at its ends those just inside, since they may jump."""
        margin = min(_INSIDE_NS, (end_ns - begin_ns) / 4)
        return self.controls(np.clip(t_ns, begin_ns + margin, end_ns - margin))

    @cached_property
    def drives(self) -> tuple[bool, bool]:
        """Whether there is an electric, and a magnetic drive."""
        values = self.controls(np.linspace(0, self.duration_ns, _CHECKED_TIMES))
        return bool(values[:, 1:3].any()), bool(values[:, 3:].any())

    def sample(self, t_ns: ArrayLike) -> dict[str, Array]:
        """Return each control by name at these times."""
        t = numbers("t_ns", t_ns, at_least=0, at_most=self.duration_ns)
        return dict(zip(CONTROLS, np.moveaxis(self.controls(t), -1, 0), strict=True))

    def __add__(self, other: "Pulse") -> "Pulse":
        """Return both, one after the other; the drives go on oscillating with their phases.

        Raises:
            InputError: if both have a drive of the same kind at different frequencies.
        """
        if not isinstance(other, Pulse):
            return NotImplemented
        frequencies: dict[str, float] = {}
        for name in ("nu_E_GHz", "nu_B_GHz"):
            a, b = getattr(self, name), getattr(other, name)
            if a and b and a != b:
                raise InputError(f"pulses to be joined must have one {name}; got {a:g} and {b:g}")
            frequencies[name] = a or b
        parts = [one for one in (self, other) if one.duration_ns > 0]
        if len(parts) < 2:
            return replace(parts[0] if parts else self, **frequencies)
        shapes = {
            name: Joined((getattr(self, name), getattr(other, name)), (self.duration_ns, other.duration_ns))
            for name in CONTROLS
        }
        return Pulse(self.duration_ns + other.duration_ns, **shapes, **frequencies)

    @property
    def joints_ns(self) -> tuple[float, ...]:
        """Times inside the pulse where pieces were joined, and where controls may jump."""
        found = {round(t, 9) for name in CONTROLS for t in _joints(getattr(self, name), self.duration_ns)}
        return tuple(sorted(found))

    def filtered(self, bandwidth_MHz: float) -> "Pulse":
        r"""Return what is left of the controls behind a line with a first-order low-pass.

        $\tau \dot y = x - y$ with $\tau = 1 / (2 \pi f)$; the drives' envelopes pass it, not their carriers. The pulse
        becomes longer by $8 \tau$, in which the drives die out.

        >>> Pulse(100, E_c_V_per_m=100, nu_E_GHz=5.59).filtered(50).sample([0, 100])["E_c_V_per_m"].round(3).tolist()
        [0.0, 100.0]
        """
        tau = 1e3 / (2 * np.pi * one_number("bandwidth_MHz", bandwidth_MHz, at_least=1, at_most=1e5))
        begin, last = self.controls(np.array([0.0, self.duration_ns]))
        y = np.array([begin[0], 0, 0, 0, 0])
        times, values = [], []
        for left, right in pairwise([0.0, *self.joints_ns, self.duration_ns]):
            n = int(np.clip(np.ceil((right - left) / min(tau / 20, 1.0)), 20, 400_000))
            t, step = np.linspace(left, right, n + 1, retstep=True)
            x = self.inside(t, left, right)
            # Exact for an input that is straight between samples.
            decay, r = np.exp(-step / tau), step / tau
            driven = (1 - (1 - decay) / r) * x[1:] + ((1 - decay) / r - decay) * x[:-1]
            driven[0] += decay * y
            times.append(t)
            values.append(np.vstack([y, lfilter([1.0], [1.0, -decay], driven, axis=0)]))
            y = values[-1][-1]
        rest = np.array([last[0], 0, 0, 0, 0])
        t = np.linspace(0, 8 * tau, 161)
        times.append(self.duration_ns + t)
        values.append(rest + (y - rest) * np.exp(-t / tau)[:, None])
        t, y = np.concatenate(times), np.concatenate(values)
        shapes = {name: Sampled(t, y[:, i]) for i, name in enumerate(CONTROLS)}
        return replace(self, duration_ns=float(t[-1]), **shapes)

    def table(self, step_ns: float | None = None) -> "pd.DataFrame":
        """Return samples of the controls, `t_ns` and those of `CONTROLS`; joints occur twice, before and after.

        Args:
            step_ns: largest distance of samples; by default 0.5, and a 2000th of the pulse if that is shorter.
        """
        import pandas as pd

        if self.duration_ns == 0:
            raise InputError("the pulse has no length, so that there is nothing to sample")
        step = min(0.5, self.duration_ns / 2000) if step_ns is None else step_ns
        one_number("step_ns", step, above=0, at_most=self.duration_ns)
        edges = np.array([0.0, *self.joints_ns, self.duration_ns])
        times, values = [], []
        for left, right in pairwise(edges.tolist()):
            t = np.linspace(left, right, max(int(np.ceil((right - left) / step)), 4) + 1)
            times.append(t)
            values.append(self.inside(t, left, right) if edges.size > 2 else self.controls(t))
        return pd.DataFrame(
            np.column_stack([np.concatenate(times), np.concatenate(values)]), columns=["t_ns", *CONTROLS]
        )

    def to_csv(
        self, path: str | Path, step_ns: float | None = None, comments: Mapping[str, str] | None = None
    ) -> Path:
        """Write samples of the controls, with the frequencies as comments; `solvable.spins.read_pulse` reads them.

        Cubic splines between the samples reproduce the pulse.

        Args:
            path: FILE.csv.
            step_ns: as for `table`.
            comments: more lines `# name = value` for the top of the file.

        Raises:
            InputError: if the file cannot be written.
        """
        table = self.table(step_ns)
        path = Path(path)
        with atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            frequencies = {"nu_E_GHz": repr(self.nu_E_GHz), "nu_B_GHz": repr(self.nu_B_GHz)}
            for name, value in (frequencies | dict(comments or {})).items():
                file.write(f"# {name} = {value}\n")
            table.to_csv(file, index=False, lineterminator="\n")
        return path

    def to_qutip(self, device: DonorDevice, offset_V_per_m: float = 0.0) -> Any:
        r"""Return $2 \pi H(t)$ in rad/ns as a `QobjEvo`, in the frame $\nu_B$, for QuTiP's solvers with times in ns.

        Raises:
            MissingExtraError: without QuTiP.
        """
        try:
            import qutip
        except ImportError:
            raise missing_extra("QuTiP", "qubits", "the export to QuTiP") from None
        dims = [[2, 2, 2], [2, 2, 2]]

        def part(matrix: Complex) -> Any:
            return qutip.Qobj(2 * np.pi * matrix, dims=dims)

        @lru_cache(maxsize=4)  # all three coefficients are asked for at the same time
        def controls(t: float) -> tuple[float, float, float]:
            inside = np.array([min(max(t, 0.0), self.duration_ns)])
            return float(self.total_field(inside)[0]), *self.controls(inside)[0, 3:].tolist()

        def coefficient(i: int) -> Callable[[float], float]:
            return lambda t: controls(float(t))[i]

        x, y = device.per_tesla
        return qutip.QobjEvo(
            [
                part(device.hamiltonian(offset_V_per_m, frame_GHz=self.nu_B_GHz)),
                [part(device.per_field), coefficient(0)],
                [part(x), coefficient(1)],
                [part(y), coefficient(2)],
            ]
        )

    def total_field(self, t_ns: Array) -> Array:
        """Return the field with its oscillating part at these times in V/m."""
        values = self.controls(t_ns)
        phase = 2 * np.pi * self.nu_E_GHz * t_ns
        return values[..., 0] + values[..., 1] * np.cos(phase) + values[..., 2] * np.sin(phase)

    def plot(self) -> "Figure":
        """Draw the controls against time."""
        from solvable.spins.drawing import draw_pulse

        return draw_pulse(self)


def _joints(shape: Shape | float, duration: float, start: float = 0.0) -> list[float]:
    """Times of jumps inside a shape."""
    if isinstance(shape, Joined):
        starts = start + np.cumsum([0.0, *shape.durations_ns])
        found = starts[1:-1].tolist()
        for one, begin, length in zip(shape.shapes, starts, shape.durations_ns, strict=False):
            found += _joints(one, length, begin)
        return found
    if isinstance(shape, Windowed):
        return _joints(shape.shape, duration, start)
    if isinstance(shape, Weighted):
        return [t for one in shape.shapes for t in _joints(one, duration, start)]
    if isinstance(shape, Sampled):
        jumps = (np.diff(shape.t_ns) == 0) & (np.diff(shape.values) != 0)
        return (start + shape.t_ns[1:][jumps]).tolist()
    return []
