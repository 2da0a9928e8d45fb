r"""Pulses that withstand errors of the field and of the drives: an optimiser for the nuclear spin's gates.

Each control is a sine series. The mean infidelity of the 4 x 4 `EffectiveModel` over a few errors (scenarios) is
minimised with exact gradients. Then, for each scenario, the defect $D = U_{exact} U_{model}^\dagger$ of the pulse
found is kept and the pulse optimised again, for $D U_{model}$; this is repeated. The result is checked with exact
propagators, at errors that were not optimised for.

Source: ours, after the idea of Simon et al. (2020); their recipe is another one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import generator, one_number, whole
from solvable.errors import InputError
from solvable.machine import limited_blas_threads
from solvable.progress import progress
from solvable.spins.device import DonorDevice
from solvable.spins.effective import EffectiveModel, effective_model, even_powers
from solvable.spins.fidelity import X90, average_gate_fidelity, best_virtual_z, unitary, virtual_z
from solvable.spins.pulses import Pulse
from solvable.spins.scenarios import (
    Scenarios,
    checking_scenarios,
    exact_propagators,
    field_errors,
    training_scenarios,
)
from solvable.spins.shapes import SineSeries

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Of the model; what coarse steps cost is part of the defect and corrected.
_STEP_NS, _STEPS_PER_SINE = 4.0, 8
_ROUND_ITERATIONS = 80
_RANDOM_START = 0.15  # of the largest amplitudes


@dataclass(frozen=True, eq=False)
class Optimised:
    r"""A pulse and what it was measured to do.

    Attributes:
        pulse: the pulse; its duration is a whole number of periods of the electric drive.
        target: the gate that $R_z(\mathrm{after})\, M\, R_z(\mathrm{before})$ of the projected propagator is to be.
        before: phase of the virtual rotation about z before the pulse, in rad.
        after: that after it.
        history: cost of the model by iteration, all rounds one after the other.
        exact_by_round: exact mean infidelity over the scenarios of the optimisation, before the first round of
            correction and after each.
        exact_infidelity: exact mean infidelity at errors that were not optimised for (without any spread of the
            errors there is but one); this is the one to quote.
        standard_error: of `exact_infidelity`, where it is a mean over random traces; else 0.
        largest_E_V_per_m: largest amplitude of the electric drive.
        largest_B_uT: that of the magnetic drive, rotating.
    """

    pulse: Pulse
    target: Complex
    before: float
    after: float
    history: Array
    exact_by_round: Array
    exact_infidelity: float
    standard_error: float
    largest_E_V_per_m: float
    largest_B_uT: float

    @property
    def report(self) -> list[str]:
        """Lines that say what was reached."""
        periods = round(self.pulse.duration_ns * self.pulse.nu_E_GHz)
        error = f" +- {self.standard_error:.1g}" if self.standard_error else ""
        rounds = ", ".join(f"{one:.2g}" for one in self.exact_by_round)
        return [
            f"{self.pulse.duration_ns:.3f} ns: {periods} periods of the electric drive",
            f"mean infidelity {self.exact_infidelity:.2g}{error}, exact, at errors that were not optimised for",
            f"before and after each round of correction: {rounds}",
            f"largest amplitudes {self.largest_E_V_per_m:.0f} V/m and {self.largest_B_uT:.0f} µT (rotating)",
            f"virtual rotations about z: {self.before:.6f} rad before, {self.after:.6f} rad after",
        ]


@limited_blas_threads(1)
def optimise_gate(
    device: DonorDevice,
    *,
    target: ArrayLike = X90,
    n_sines: int = 14,
    duration_ns: float = 1000.0,
    sigma_V_per_m: float = 100.0,
    amplitude_error: float = 0.0,
    pink_sigma_V_per_m: float = 0.0,
    pink_cutoff_MHz: float = 10.0,
    largest_E_V_per_m: float = 1600.0,
    largest_B_uT: float = 400.0,
    rotating_wave: bool = True,
    start: Pulse | None = None,
    n_iterations: int = 300,
    n_rounds: int = 3,
    random_state: int | np.random.Generator = 0,
    quiet: bool = True,
) -> Optimised:
    r"""Return a pulse that makes $X_{\pi/2}$, or another gate, in spite of errors.

    The cost is $1 - \langle F \rangle + \langle \max(0, |z|^2 / z_{max}^2 - 1)^2 \rangle_t$ + the same of the magnetic
    drive, with F the average gate fidelity, leakage counted as loss, after two virtual rotations about z that are the
    same for all errors. The mean is over

    - the field's constant error, by Gauss-Hermite nodes;
    - gains of both drives, by two nodes each beside the nominal ones, exact for cubic dependence;
    - 1/f noise, by its principal components in time (Karhunen-Loève): the first, nearly constant, by Gauss-Hermite
      nodes; of the others a pair of opposite amplitudes each, so that their mean is exact to third order. To second
      order this is the integral over the filter function.

    With the defaults it takes half a minute on one core, with `amplitude_error` two, with 1/f noise likewise.

    Args:
        device: the donor.
        target: unitary (2, 2), up to rotations about z before and after.
        n_sines: terms of each control, 1 to 100.
        duration_ns: length, rounded to whole periods of the electric drive.
        sigma_V_per_m: standard deviation of the field's constant error, 0 to 1000.
        amplitude_error: relative standard deviation of the gains of both drives, independent, 0 to 0.1.
        pink_sigma_V_per_m: standard deviation of 1/f noise of the field from 1 Hz to `pink_cutoff_MHz`, in addition.
        pink_cutoff_MHz: where the noise ends, 0.1 to 50.
        largest_E_V_per_m: amplitude of the electric drive; exceeded by a few per cent at most.
        largest_B_uT: that of the magnetic drive, rotating.
        rotating_wave: if False, the correction and the exact check have the magnetic drive's counter-rotating part.
        start: pulse to start from, of which the sine series is taken; it brings its own duration and frequencies. By
            default a random one, with both drives on resonance at the ionisation point.
        n_iterations: of L-BFGS; each round of correction has at most 80.
        n_rounds: rounds of correction.
        random_state: seed, or a generator of NumPy.
        quiet: show no progress.

    Raises:
        InputError: for numbers out of range, a target that is not unitary, or a start with a slow field.

    Source:
        Ours, after the idea of Simon et al. (2020).

    >>> found = optimise_gate(DonorDevice(), n_sines=2, duration_ns=100, n_iterations=2, n_rounds=0)
    >>> round(found.pulse.duration_ns * found.pulse.nu_E_GHz, 6)
    559.0
    """
    U = unitary(target)
    rng = generator("random_state", random_state)
    n_sines = whole("n_sines", n_sines, at_least=1, at_most=100)
    n_iterations = whole("n_iterations", n_iterations, at_least=1)
    n_rounds = whole("n_rounds", n_rounds, at_least=0)
    if start is not None and not isinstance(start, Pulse):
        raise InputError(f"start must be a Pulse; got a {type(start).__name__}")
    duration = start.duration_ns if start is not None else duration_ns
    duration = one_number("duration_ns", duration, at_least=20, at_most=20_000)
    sigma = one_number("sigma_V_per_m", sigma_V_per_m, at_least=0, at_most=1000)
    pink = one_number("pink_sigma_V_per_m", pink_sigma_V_per_m, at_least=0, at_most=1000)
    cutoff_GHz = 1e-3 * one_number("pink_cutoff_MHz", pink_cutoff_MHz, at_least=0.1, at_most=50)
    gain = one_number("amplitude_error", amplitude_error, at_least=0, at_most=0.1)
    E = one_number("largest_E_V_per_m", largest_E_V_per_m, at_least=1, at_most=1e5)
    B = 1e-6 * one_number("largest_B_uT", largest_B_uT, at_least=1, at_most=1e4)
    if start is None:
        at_rest = device.transitions(0.0)
        nu_E, nu_B = (1e-3 * float(at_rest[name]) for name in ("f_ff_MHz", "f_esr_MHz"))
    else:
        nu_E, nu_B = start.nu_E_GHz, start.nu_B_GHz
        if not (nu_E and nu_B):
            raise InputError("start must have both drives: an electric and a magnetic one")
        if start.controls(np.linspace(0, start.duration_ns, 101))[:, 0].any():
            raise InputError("start has a slow field E_V_per_m, which is not optimised; leave it at 0")
    duration = round(duration * nu_E) / nu_E
    n_steps = max(int(np.ceil(duration / _STEP_NS)), _STEPS_PER_SINE * n_sines)
    modes = field_errors(duration, n_steps, sigma, pink, cutoff_GHz)
    scenarios = training_scenarios(modes, gain)
    widest = max(1.05 * np.abs(scenarios.offset_V_per_m).max(), 10.0)
    model = effective_model(device, nu_E, nu_B, 1.2 * E * (1 + 2 * gain), widest)
    cost = Cost(model, scenarios, U, duration, n_steps, n_sines, (E, B))
    x = _RANDOM_START * rng.normal(size=4 * n_sines) if start is None else cost.projected(start)
    x = np.append(x, [0.0, 0.0])
    x[-2:] = best_virtual_z(cost.propagators(x)[:, :2, :2], U, scenarios.weights)

    history: list[float] = []
    exact_by_round: list[float] = []
    best: tuple[float, Array] = (np.inf, x)
    total = n_iterations + n_rounds * min(n_iterations, _ROUND_ITERATIONS)
    with progress("optimising", total, quiet=quiet) as advance:
        for number in range(n_rounds + 1):
            limit = n_iterations if number == 0 else min(n_iterations, _ROUND_ITERATIONS)
            x = _minimise(cost, x, limit, history, advance)
            exact = exact_propagators(device, cost.pulse(x), scenarios, rotating_wave)
            x[-2:] = best_virtual_z(exact[:, :2, :2], U, scenarios.weights)
            lost = 1 - average_gate_fidelity(virtual_z(x[-2], exact[:, :2, :2], x[-1]), U)
            exact_by_round.append(float(scenarios.weights @ lost))
            if exact_by_round[-1] < best[0]:
                best = (exact_by_round[-1], x.copy())
            if number < n_rounds:
                cost.correct(exact, x)
    x = best[1]
    pulse = cost.pulse(x)
    others = checking_scenarios(modes, gain, rng)
    M = exact_propagators(device, pulse, others, rotating_wave)[:, :2, :2]
    lost = 1 - average_gate_fidelity(virtual_z(x[-2], M, x[-1]), U)
    error = lost.std(ddof=1) / np.sqrt(lost.size) if modes.shape[0] > 1 else 0.0
    amplitudes = np.abs(cost.controls(x)).max(-1)
    return Optimised(
        pulse,
        U,
        float(x[-2]),
        float(x[-1]),
        np.array(history),
        np.array(exact_by_round),
        float(others.weights @ lost),
        float(error),
        float(amplitudes[0]),
        float(1e6 * amplitudes[1]),
    )


class Cost:
    r"""Mean infidelity of the model over scenarios, and its gradient.

    The variables are the sine coefficients in units of the largest amplitudes, control by control, and the two virtual
    phases (before, after).
    """

    def __init__(
        self,
        model: EffectiveModel,
        scenarios: Scenarios,
        target: Complex,
        duration_ns: float,
        n_steps: int,
        n_sines: int,
        largest: tuple[float, float],
    ) -> None:
        self.model, self.target, self.duration, self.dt = model, target, duration_ns, duration_ns / n_steps
        self.weights = scenarios.weights
        self.gain_E, self.gain_B = scenarios.gain_E, scenarios.gain_B
        self.caps = np.array([largest[0], largest[0], largest[1], largest[1]])
        middles = (np.arange(n_steps) + 0.5) / n_steps
        self.sines = np.sin(np.pi * np.outer(middles, np.arange(1, n_sines + 1)))
        offset = scenarios.offset_V_per_m
        if offset.shape[1] > 1:
            offset = (offset[:, 1:] + offset[:, :-1]) / 2
        self.levels, self.coupling, self.magnetic = model.at(offset.T)  # last axes (steps or 1, scenarios)
        self.defects = np.broadcast_to(np.eye(4, dtype=np.complex128), (self.weights.size, 4, 4))

    def controls(self, x: Array) -> Complex:
        """Return z in V/m and b in T at the middles of the steps, (2, steps)."""
        E_c, E_s, B_x, B_y = (self.sines @ x[:-2].reshape(4, -1).T * self.caps).T
        return np.stack([E_c + 1j * E_s, B_x + 1j * B_y])

    def pulse(self, x: Array) -> Pulse:
        """Return the pulse of these variables."""
        shapes = [SineSeries(tuple(one)) for one in x[:-2].reshape(4, -1) * self.caps[:, None]]
        return Pulse(self.duration, 0.0, *shapes, nu_E_GHz=self.model.nu_E_GHz, nu_B_GHz=self.model.nu_B_GHz)

    def projected(self, pulse: Pulse) -> Array:
        """Return the variables, without phases, of the sine series nearest to a pulse."""
        middles = (np.arange(len(self.sines)) + 0.5) / len(self.sines)
        controls = pulse.controls(middles * pulse.duration_ns)[:, 1:] / self.caps
        return np.asarray(np.linalg.lstsq(self.sines, controls, rcond=None)[0], dtype=np.float64).T.ravel()

    def propagators(self, x: Array) -> Complex:
        """Return D U of the model for each scenario, (scenarios, 4, 4)."""
        U = np.eye(4, dtype=np.complex128)
        for step in self._steps(self.controls(x))[0]:
            U = step @ U
        return self.defects @ U

    def correct(self, exact: Complex, x: Array) -> None:
        """Take over the defects of the model at these variables, the nearest unitaries to U_exact U_model^dagger."""
        self.defects = np.broadcast_to(np.eye(4, dtype=np.complex128), exact.shape)
        left, _, right = np.linalg.svd(exact @ np.swapaxes(self.propagators(x), -1, -2).conj())
        self.defects = left @ right

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Return the cost and its gradient."""
        controls = self.controls(x)
        steps, (frame, energies, vectors) = self._steps(controls)
        n, count = steps.shape[:2]
        forward = np.empty((n + 1, count, 4, 2), dtype=np.complex128)
        forward[0] = np.eye(4)[:, :2]
        for k in range(n):
            np.matmul(steps[k], forward[k], out=forward[k + 1])
        M = (self.defects @ forward[n])[:, :2]
        z = np.exp(np.multiply.outer([0.5j, -0.5j], x[-2:]))  # R_z^dagger of (before, after)
        goal = z[:, 1, None] * self.target * z[:, 0]  # (after, before)
        overlap = np.einsum("ij,sij->s", goal.conj(), M)
        fidelity = (np.abs(overlap) ** 2 + (np.abs(M) ** 2).sum((1, 2))) / 6
        # The derivative of the cost is Re Tr(G dM).
        G = (
            -self.weights[:, None, None]
            / 3
            * (overlap.conj()[:, None, None] * goal.conj().T + np.swapaxes(M, 1, 2).conj())
        )
        terms = goal.conj() * M * overlap.conj()[:, None, None]
        sign = np.array([1.0, -1.0])
        d_before = -np.real(self.weights @ (terms * (-0.5j * sign)).sum((1, 2))) / 3
        d_after = -np.real(self.weights @ (terms * (-0.5j * sign[:, None])).sum((1, 2))) / 3
        backward = np.empty((n, count, 2, 4), dtype=np.complex128)
        backward[n - 1] = G @ self.defects[:, :2]
        for k in range(n - 1, 0, -1):
            np.matmul(backward[k], steps[k], out=backward[k - 1])
        # Tr(X dU) = Tr(W dH) with X = forward backward, in the eigenbasis through divided differences.
        half = np.exp(-1j * np.pi * self.dt * energies)
        differences = np.sinc(self.dt * (energies[..., :, None] - energies[..., None, :]))
        differences = -2j * np.pi * self.dt * half[..., :, None] * half[..., None, :] * differences
        turned = np.swapaxes(vectors, -1, -2)
        left = turned @ (frame.conj()[:, None, :, None] * forward[:n])
        right = (backward * frame[:, None, None, :]) @ vectors
        W = vectors @ ((left @ right) * differences) @ turned
        gradient = self._by_controls(controls, frame, W)
        excess = np.maximum(np.abs(controls) ** 2 / self.caps[::2, None] ** 2 - 1, 0)
        by_excess = 4 * excess * controls / self.caps[::2, None] ** 2 / n
        gradient += np.stack([by_excess[0].real, by_excess[0].imag, by_excess[1].real, by_excess[1].imag])
        value = 1 - float(self.weights @ fidelity) + float((excess**2).mean(-1).sum())
        return value, np.append((gradient @ self.sines * self.caps[:, None]).ravel(), [d_before, d_after])

    def _steps(self, controls: Complex) -> tuple[Complex, tuple[Complex, Array, Array]]:
        """Return the propagators of the steps (steps, scenarios, 4, 4), the frame in which H is real, and its eigh."""
        size_E, size_B = np.abs(controls)
        phase_E, phase_B = np.exp(1j * np.angle(controls))
        frame = np.stack([phase_E.conj(), phase_B, np.ones_like(phase_E), (phase_E * phase_B).conj()], -1)
        u = (size_E[:, None] * self.gain_E / self.model.largest_E_V_per_m) ** 2
        powers = even_powers(u, len(self.levels))
        H = np.zeros((*u.shape, 4, 4))
        for i in (1, 2, 3):
            H[..., i, i] = (powers * self.levels[:, i - 1]).sum(0)
        H[..., 2, 0] = (powers * self.coupling).sum(0) * size_E[:, None] * self.gain_E
        H[..., 2, 1], H[..., 3, 0] = self.magnetic * (size_B[:, None] * self.gain_B)
        energies, vectors = np.linalg.eigh(H)  # reads the lower triangle
        U = (vectors * np.exp(-2j * np.pi * self.dt * energies)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
        return frame[:, None, :, None] * U * frame.conj()[:, None, None, :], (frame, energies, vectors)

    def _by_controls(self, controls: Complex, frame: Complex, W: Complex) -> Array:
        """Return the derivatives of Re Tr(W dH) by the four controls, (4, steps); W in the real frame."""
        z = controls[0][:, None] * self.gain_E
        largest = self.model.largest_E_V_per_m
        powers = even_powers(np.abs(z / largest) ** 2, len(self.levels))
        orders = np.arange(1, len(powers))[:, None, None]
        slopes = [
            (powers[:-1] * orders * one[1:]).sum(0)
            for one in (*np.moveaxis(self.levels, 1, 0), self.coupling)
        ]

        def element(i: int, j: int) -> Complex:
            """W_ji + conj(W_ij), in the frame of the model."""
            real_frame = W[..., j, i] + W[..., i, j].conj()
            return (frame[:, j] * frame[:, i].conj())[:, None] * real_frame

        electric = element(2, 0)
        by_square = (
            sum(W[..., i, i].real * slopes[i - 1] for i in (1, 2, 3)) + (electric * z).real * slopes[3]
        )
        by_z = 2 * by_square * z / largest**2 + (powers * self.coupling).sum(0) * electric.conj()
        by_z = (by_z * self.gain_E).sum(1)
        by_b = ((self.magnetic[0] * element(2, 1) + self.magnetic[1] * element(3, 0)) * self.gain_B).sum(1)
        return np.stack([by_z.real, by_z.imag, by_b.real, by_b.imag])


def _minimise(
    cost: Cost, x: Array, n_iterations: int, history: list[float], advance: Callable[[], None]
) -> Array:
    """Return the variables after L-BFGS; append the cost of each iteration to the history."""
    from scipy.optimize import OptimizeResult, minimize

    def iterated(intermediate_result: OptimizeResult) -> None:
        history.append(float(intermediate_result.fun))
        advance()

    options = {"maxiter": n_iterations, "maxfun": 2 * n_iterations, "ftol": 1e-12, "gtol": 1e-9, "maxcor": 30}
    return minimize(cost, x, jac=True, method="L-BFGS-B", callback=iterated, options=options).x
