"""The commands `solvable spins ...`: levels of a device, gates, and what charge noise does to them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import App, Parameter

from solvable.checks import choice, numbers, one_number
from solvable.errors import InputError
from solvable.lab.text import readable, with_error
from solvable.lab.verdict import Section, Table, Verdict
from solvable.terminal.arguments import FIGURES, Numbers, Whole, check_path
from solvable.terminal.output import OUTPUT, Output, example

spins = App(
    name="spins",
    help="Donor nuclear spin qubits: levels of a device, gates, and what charge noise does to them.",
    help_epilogue=example("solvable spins gate --target H"),
)

# What a line of a device may have in an error of the field, and the errors that a gate is tried at.
_OFFSETS = (-300.0, -100.0, 0.0, 100.0, 300.0)
_MOST_NOISE = 300.0
# Gauss-Hermite nodes of the mean: for smooth pulses to 1e-6.
_NODES = 11


# cyclopts would turn `B0_T` into `--b0-t`.
def _named(option: str) -> Any:
    return Parameter(name=option)


@Parameter(name="*")
@dataclass(frozen=True)
class DeviceOptions:
    """Options of the donor; those that are left out are of the preset."""

    preset: Literal["robust", "sweep", "pair"] | None = None
    """Where to start from: robust (20 GHz, the default), sweep (10 GHz) or pair (5.694 GHz)."""
    tunnel_coupling_GHz: Annotated[float | None, _named("--tunnel-coupling-GHz")] = None
    """Tunnel coupling of donor and interface in GHz, 1 to 100."""
    B0_T: Annotated[float | None, _named("--B0-T")] = None
    """Static magnetic field in T, 0.02 to 2; by default 0.2."""
    depth_nm: float | None = None
    """Distance of donor and interface in nm, 5 to 30; by default 15."""
    hyperfine_MHz: Annotated[float | None, _named("--hyperfine-MHz")] = None
    """Hyperfine coupling at the donor in MHz, at most 120; by default 117."""

    def device(self) -> Any:
        """Return the donor, or None if no option was given."""
        from solvable.spins.device import DonorDevice

        given = {
            one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) is not None
        }
        if not given:
            return None
        return DonorDevice.preset(given.pop("preset", "robust"), **given)


DEVICE = DeviceOptions()


@spins.command(
    help_epilogue=example("solvable spins spectrum --tunnel-coupling-GHz 10 --field-V-per-m -5000,0,5000")
)
def spectrum(
    *,
    field_V_per_m: Annotated[Numbers, _named("--field-V-per-m")] = (-20e3, -5e3, -1e3, 0.0, 1e3, 5e3, 20e3),
    donor: DeviceOptions = DEVICE,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Print the transition frequencies of a donor, and how much charge noise moves the nuclear one.

    Args:
        field_V_per_m: Fields from the ionisation point in V/m.
        donor: The donor.
        figure: Write a figure of the levels against the field: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.lab.figure import save
    from solvable.spins.device import DonorDevice
    from solvable.spins.drawing import draw_levels
    from solvable.spins.theory import dephasing_time

    check_path("figure", figure, FIGURES)
    device = donor.device() or DonorDevice()
    E = numbers("field_V_per_m", field_V_per_m).ravel()
    found = device.transitions(E)
    slope = device.frequency_slope_kHz_per_V_per_m(E)
    dephasing = dephasing_time(slope, 100.0)
    columns = [found[name].to_numpy() for name in ("f_n_MHz", "f_ff_MHz", "f_esr_MHz")]
    rows = tuple(
        (f"{field:g}", *(f"{value:.4f}" for value in values), f"{change:.3g}", f"{time:.3g}")
        for field, *values, change, time in zip(E, *columns, slope, dephasing, strict=True)
    )
    heads = (
        "field (V/m)",
        "f_n (MHz)",
        "f_ff (MHz)",
        "f_ESR (MHz)",
        "slope of f_n (kHz per V/m)",
        "T2* (µs)",
    )
    text = (
        "Nuclear spin (f_n), flip-flop (f_ff) and electron spin (f_ESR); T2* of the idle nuclear spin under 100 V/m of "
        "slow charge noise."
    )
    title = f"Donor with {device.tunnel_coupling_GHz:g} GHz, {device.B0_T:g} T, {device.depth_nm:g} nm"
    facts = {
        "device": device,
        "field_V_per_m": E,
        **{name: found[name].to_numpy() for name in found.data_vars},
        "slope_kHz_per_V_per_m": slope,
        "levels_GHz": device.spectrum(E),
    }
    widest = max(float(np.abs(E).max()), 1000.0)
    output.emit(
        facts,
        [f"{one:.9g}" for one in columns[0]],
        lambda: print(Verdict(title, (Section("", text, Table(heads, rows)),))),
        {figure: lambda path: save(draw_levels(device, widest), path)},
    )


@spins.command(help_epilogue=example("solvable spins gate --target H --save hadamard.csv"))
def gate(
    *,
    kind: Literal["robust", "naive"] = "robust",
    target: str = "X90",
    against: Literal["slow-noise", "amplitude", "fast-noise"] = "slow-noise",
    pulse: Path | None = None,
    optimise: bool = False,
    amplitude_error: float = 0.0,
    pink_sigma_V_per_m: Annotated[float, _named("--pink-sigma-V-per-m")] = 0.0,
    sigma_V_per_m: Annotated[float, _named("--sigma-V-per-m")] = 100.0,
    duration_ns: float = 1000.0,
    random_state: Whole = 0,
    lab_frame: bool = False,
    donor: DeviceOptions = DEVICE,
    save: Path | None = None,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Make a gate on the nuclear spin, and print its infidelity under errors of field and drives.

    For the default donor the robust pulse is shipped; for another one it is optimised, in about half a minute. The
    infidelities are exact for eight levels and count leakage.

    Args:
        kind: The robust gate, or a naive one to compare with.
        target: X90, X180, Y90, H, or three angles theta,phi,lambda in rad of U3.
        against: Errors that the shipped pulse withstands.
        pulse: FILE.csv of a gate or of a pulse of your own, used as it is, or with --optimise as a start.
        optimise: Optimise a pulse anew, for the errors below.
        amplitude_error: Relative error of the drives' amplitudes that the pulse is to withstand, such as 0.01.
        pink_sigma_V_per_m: 1/f noise, 1 Hz to 10 MHz, that the pulse is to withstand, in V/m.
        sigma_V_per_m: Slow noise of the field that the pulse is to withstand and is tried with, in V/m.
        duration_ns: Length of a pulse that is optimised from a random start.
        random_state: Seed of that start.
        lab_frame: Keep the counter-rotating part of the magnetic drive.
        donor: The donor.
        save: Write the gate: FILE.csv, which --pulse reads.
        figure: Write a figure of the controls: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.lab.figure import save as save_figure
    from solvable.spins.gate_files import write_gate
    from solvable.spins.noise import noise_sweep

    check_path("save", save, (".csv",))
    check_path("figure", figure, FIGURES)
    sigma = one_number("sigma_V_per_m", sigma_V_per_m, at_least=0, at_most=_MOST_NOISE)
    wanted = _target(target)
    if kind == "naive" and (optimise or pulse is not None):
        raise InputError("the naive gate has its own pulse; leave out --pulse and --optimise")
    options: dict[str, Any] = {}
    if optimise:
        options = {
            "sigma_V_per_m": sigma,
            "amplitude_error": amplitude_error,
            "pink_sigma_V_per_m": pink_sigma_V_per_m,
            "duration_ns": duration_ns,
            "random_state": random_state,
            "rotating_wave": not lab_frame,
        }
    elif amplitude_error or pink_sigma_V_per_m:
        raise InputError("--amplitude-error and --pink-sigma-V-per-m are for --optimise")
    made, lines = _make(kind, target, wanted, against, pulse, donor.device(), options, output.silent)
    wave = {"rotating_wave": not lab_frame}
    offsets = np.array(_OFFSETS)
    at_offset = made.infidelity(offsets, **wave)
    noisy = float(noise_sweep(made, sigma, nodes=_NODES).infidelity[0])
    gains = np.array([0.99, 1.01])
    electric, magnetic = made.infidelity(0.0, gains, **wave), made.infidelity(0.0, 1.0, gains, **wave)
    rows = [
        (f"field off by {E:+g} V/m" if E else "no error", readable(one, 2))
        for E, one in zip(offsets, at_offset, strict=True)
    ]
    rows += [
        (f"slow noise of {sigma:g} V/m, mean", readable(noisy, 2)),
        ("electric drive off by 1 %, worse sign", readable(float(electric.max()), 2)),
        ("magnetic drive off by 1 %, worse sign", readable(float(magnetic.max()), 2)),
    ]
    facts = {
        "name": made.name,
        "device": made.device,
        "duration_ns": made.duration_ns,
        "before_rad": made.before,
        "after_rad": made.after,
        "offset_V_per_m": offsets,
        "infidelity": at_offset,
        "leakage": made.leakage(0.0, **wave),
        "sigma_V_per_m": sigma,
        "mean_infidelity": noisy,
        "amplitude_E_infidelity": electric,
        "amplitude_B_infidelity": magnetic,
    }
    text = (
        f"{made.duration_ns:.3f} ns; virtual rotations about z by {made.before:.4f} rad before and {made.after:.4f} "
        f"rad after; without errors {readable(facts['leakage'], 2)} leaks out of the qubit."
    )
    verdict = Verdict(
        f"{target} by {made.name}: mean infidelity {readable(noisy, 2)} at {sigma:g} V/m of slow noise",
        (
            Section("", text, Table(("error", "infidelity"), tuple(rows))),
            *([Section("Optimisation", points=tuple(lines))] if lines else []),
        ),
        ("1/f noise hurts more than slow noise: solvable spins noise-sweep --kind pink",),
    )
    files = {
        save: lambda path: write_gate(made, path),
        figure: lambda path: save_figure(made.pulse.plot(), path),
    }
    output.emit(facts, [f"{noisy:.6g}"], lambda: print(verdict), files)


@spins.command(
    name="noise-sweep",
    help_epilogue=example("solvable spins noise-sweep --kind pink --sigma-V-per-m 10,30,100"),
)
def noise_sweep(
    *,
    gate: str = "robust",
    sigma_V_per_m: Annotated[Numbers, _named("--sigma-V-per-m")] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    kind: Literal["quasi-static", "pink"] = "quasi-static",
    f_low_Hz: Annotated[float, _named("--f-low-Hz")] = 1.0,
    f_high_Hz: Annotated[float, _named("--f-high-Hz")] = 1e7,
    n_traces: Whole = 300,
    random_state: Whole = 0,
    donor: DeviceOptions = DEVICE,
    save: Path | None = None,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Print the mean infidelity of a gate against the strength of charge noise, slow or 1/f.

    Args:
        gate: robust (against slow noise), naive, amplitude or fast-noise (against these), or FILE.csv of a gate.
        sigma_V_per_m: Standard deviations of the field at the donor in V/m.
        kind: Constant during the gate (quasi-static), or 1/f noise (pink).
        f_low_Hz: Lowest frequency of 1/f noise in Hz.
        f_high_Hz: Highest frequency of 1/f noise in Hz, at most 1e8.
        n_traces: Number of random traces of 1/f noise.
        random_state: Seed of these.
        donor: The donor.
        save: Write the table: FILE.csv.
        figure: Write a figure: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.lab.figure import save as save_figure
    from solvable.lab.files import atomically
    from solvable.spins.drawing import draw_noise
    from solvable.spins.gate_files import read_gate
    from solvable.spins.gates import X90_GATES, x90_gate
    from solvable.spins.noise import noise_sweep as sweep

    check_path("save", save, (".csv",))
    check_path("figure", figure, FIGURES)
    if Path(gate).suffix.lower() == ".csv":
        made = read_gate(gate, donor.device())
    else:
        made = x90_gate(choice("gate", gate, (*X90_GATES, "FILE.csv")), donor.device())
    found = sweep(
        made,
        sigma_V_per_m,
        kind,
        f_low_Hz,
        f_high_Hz,
        n_traces=n_traces,
        random_state=random_state,
        quiet=output.silent,
    )
    table = found.to_dataframe().reset_index()
    rows = tuple(
        (
            f"{one['sigma_V_per_m']:g}",
            with_error(one["infidelity"], one.get("infidelity_error", float("nan"))),
            readable(one["leakage"], 2),
        )
        for one in table.to_dict("records")
    )
    words = "slow noise" if kind == "quasi-static" else f"1/f noise, {f_low_Hz:g} to {f_high_Hz:g} Hz"
    heads = ("noise (V/m)", "mean infidelity", "leakage")

    def write(path: Path) -> None:
        with atomically(path) as temporary:
            table.to_csv(temporary, index=False)

    facts = {"name": made.name, "kind": kind, **{str(name): table[name].to_numpy() for name in table.columns}}
    output.emit(
        facts,
        [f"{one:.6g}" for one in table["infidelity"]],
        lambda: print(Verdict(f"{made.name} under {words}", (Section("", "", Table(heads, rows)),))),
        {save: write, figure: lambda path: save_figure(draw_noise({made.name: found}, words), path)},
    )


def _make(
    kind: str,
    name: str,
    target: Any,
    against: str,
    pulse: Path | None,
    device: Any,
    options: dict[str, Any],
    silent: bool,
) -> tuple[Any, list[str]]:
    """Return a gate, and lines on its optimisation."""
    from solvable.spins.device import DonorDevice
    from solvable.spins.fidelity import X90
    from solvable.spins.gate_files import read_gate
    from solvable.spins.gates import Gate, naive_x90, robust_gate, robust_x90
    from solvable.spins.optimise import optimise_x90

    lines: list[str] = []
    if kind == "naive":
        made = naive_x90(device)
    elif pulse is not None and not options:
        return read_gate(pulse, device, None if name == "X90" else target), lines
    elif options:
        device = device or DonorDevice()
        start = None if pulse is None else read_gate(pulse).pulse
        found = optimise_x90(device, start=start, quiet=silent, **options)
        made = Gate("optimised X90", device, found.pulse, X90, found.before, found.after)
        lines = found.report
    else:
        made = robust_x90(device, against=against, quiet=silent)
    return (made if name == "X90" else robust_gate(target, made)), lines


def _target(text: str) -> Any:
    """Return the unitary of a name or of three angles."""
    half = np.sqrt(0.5)
    known = {
        "X90": [[half, -1j * half], [-1j * half, half]],
        "X180": [[0, -1j], [-1j, 0]],
        "Y90": [[half, -half], [half, half]],
        "H": [[half, half], [half, -half]],
    }
    if text.upper() in known:
        return np.array(known[text.upper()])
    try:
        theta, phi, lam = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"target is {text!r}; expected X90, X180, Y90, H, or three angles theta,phi,lambda in rad"
        ) from None
    numbers("target", [theta, phi, lam], at_least=-1e3, at_most=1e3)
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)
    return np.array(
        [[cos, -np.exp(1j * lam) * sin], [np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos]]
    )
