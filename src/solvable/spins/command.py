"""The commands `solvable spins ...`: levels of a device, gates, and what charge noise does to them."""

import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import App, Parameter

from solvable.checks import choice, one_number
from solvable.errors import InputError
from solvable.lab.text import readable, with_error
from solvable.lab.verdict import Section, Table, Verdict
from solvable.terminal.arguments import FIGURES, Numbers, OptionalWhole, Whole, check_path
from solvable.terminal.output import OUTPUT, Output, example

spins = App(
    name="spins",
    help="Donor nuclear spin qubits: levels of a device, gates, and what charge noise does to them.",
    help_epilogue=example("solvable spins gate --target H"),
)

# What a line of a device may have in an error of the field, and the errors that a gate is tried at.
_OFFSETS = (-300.0, -100.0, 0.0, 100.0, 300.0)
_MOST_NOISE = 300.0
_FAR_GHZ = 0.3
# Gauss-Hermite nodes of the mean.
_NODES = 21


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
    from solvable.spins.device import DonorDevice, field
    from solvable.spins.drawing import draw_levels
    from solvable.spins.theory import dephasing_time

    check_path("figure", figure, FIGURES)
    device = donor.device() or DonorDevice()
    E = field(field_V_per_m, "field_V_per_m").ravel()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = device.transitions(E)
        slope = device.frequency_slope_kHz_per_V_per_m(E)
    notes = tuple(dict.fromkeys(str(one.message) for one in caught))
    dephasing = dephasing_time(slope, 100.0)
    columns = [found[name].to_numpy() for name in ("f_n_MHz", "f_ff_MHz", "f_esr_MHz")]
    rows = tuple(
        (f"{at:g}", *(f"{value:.4f}" for value in values), f"{change:.3g}", f"{time:.3g}")
        for at, *values, change, time in zip(E, *columns, slope, dephasing, strict=True)
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
        lambda: print(Verdict(title, (Section("", text, Table(heads, rows)),), notes)),
        {figure: lambda path: save(draw_levels(device, widest), path)},
    )


@spins.command(help_epilogue=example("solvable spins gate --target H --save hadamard.csv"))
def gate(
    *,
    kind: Literal["robust", "naive"] = "robust",
    target: str | None = None,
    against: Literal["slow-noise", "amplitude", "fast-noise"] | None = None,
    pulse: Path | None = None,
    sigma_V_per_m: Annotated[float, _named("--sigma-V-per-m")] = 100.0,
    lab_frame: bool = False,
    donor: DeviceOptions = DEVICE,
    save: Path | None = None,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Make a gate on the nuclear spin, and print its infidelity under errors of field and drives.

    For the default donor the robust pulse is shipped; for another one it is optimised, in about half a minute
    (`solvable spins optimise` has more options). The infidelities are exact for eight levels and count leakage.

    Args:
        kind: The robust gate, or a naive one to compare with.
        target: X90 (the default), X180, Y90, H, or three angles theta,phi,lambda in rad of U3.
        against: Errors that the robust pulse withstands; by default slow noise.
        pulse: FILE.csv of a gate, or of a pulse of your own, instead: samples t_ns, E_c_V_per_m, E_s_V_per_m, B_x_T,
            B_y_T, E_V_per_m, with lines # nu_E_GHz = 5.59 and # nu_B_GHz = 5.56 at the top.
        sigma_V_per_m: Slow noise of the field that the gate is tried with, in V/m.
        lab_frame: Keep the counter-rotating part of the magnetic drive.
        donor: The donor.
        save: Write the gate: FILE.csv, which --pulse reads.
        figure: Write a figure of the controls: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.spins.gate_files import read_gate
    from solvable.spins.gates import naive_x90, robust_gate, robust_x90

    sigma = _checked(save, figure, sigma_V_per_m)
    wanted = None if target is None else _target(target)
    if pulse is not None:
        if kind == "naive" or against is not None:
            raise InputError("--pulse brings its own pulse; leave out --kind and --against")
        made, name = read_gate(pulse, donor.device(), wanted), target or "the target of the file"
    else:
        if kind == "naive" and against is not None:
            raise InputError("the naive gate withstands nothing; leave out --against")
        device = donor.device()
        x90 = (
            naive_x90(device)
            if kind == "naive"
            else robust_x90(device, against=against or "slow-noise", quiet=output.silent)
        )
        name = target or "X90"
        made = x90 if wanted is None or name.upper() == "X90" else robust_gate(wanted, x90)
    _report(made, name, sigma, lab_frame, [], save, figure, output)


@spins.command(help_epilogue=example("solvable spins optimise --tunnel-coupling-GHz 12 --save mine.csv"))
def optimise(
    start: Path | None = None,
    /,
    *,
    target: str = "X90",
    sigma_V_per_m: Annotated[float, _named("--sigma-V-per-m")] = 100.0,
    amplitude_error: float = 0.0,
    pink_sigma_V_per_m: Annotated[float, _named("--pink-sigma-V-per-m")] = 0.0,
    duration_ns: float | None = None,
    largest_E_V_per_m: Annotated[float | None, _named("--largest-E-V-per-m")] = None,
    n_iterations: Whole = 300,
    random_state: OptionalWhole = None,
    lab_frame: bool = False,
    donor: DeviceOptions = DEVICE,
    save: Path | None = None,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Optimise a pulse for your device and the errors that it is to withstand, in a minute or a few.

    It starts from a pulse of yours, from random numbers if --duration-ns or --random-state is given, or else from the
    shipped pulse.

    Args:
        start: FILE.csv of a gate or of a pulse of your own to start from; the donor is that of the file, if it has one.
        target: X90, X180, Y90, H, or three angles theta,phi,lambda in rad of U3, in one pulse.
        sigma_V_per_m: Slow noise of the field to withstand, in V/m.
        amplitude_error: Relative error of the drives' amplitudes to withstand, such as 0.01.
        pink_sigma_V_per_m: 1/f noise of the field, 1 Hz to 10 MHz, to withstand, in V/m.
        duration_ns: Length of the pulse; by default 1000.
        largest_E_V_per_m: Largest amplitude of the electric drive in V/m; by default 1600, scaled to the donor.
        n_iterations: Iterations of the optimiser.
        random_state: Seed of a random start.
        lab_frame: Keep the counter-rotating part of the magnetic drive.
        donor: The donor.
        save: Write the gate: FILE.csv.
        figure: Write a figure of the controls: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.spins.device import DonorDevice
    from solvable.spins.gate_files import read_gate
    from solvable.spins.gates import optimised_gate, transferred_x90

    sigma = _checked(save, figure, sigma_V_per_m)
    wanted = _target(target)
    device = donor.device()
    random = duration_ns is not None or random_state is not None
    if start is not None:
        if random:
            raise InputError("a start brings its own length; leave out --duration-ns and --random-state")
        own = read_gate(start, device)
        device, first = own.device, own.pulse
    else:
        device = device or DonorDevice()
        first = None if random else transferred_x90(device).pulse
    cap = {} if largest_E_V_per_m is None else {"largest_E_V_per_m": largest_E_V_per_m}
    made, found = optimised_gate(
        device,
        **cap,
        start=first,
        target=wanted,
        sigma_V_per_m=sigma,
        amplitude_error=amplitude_error,
        pink_sigma_V_per_m=pink_sigma_V_per_m,
        duration_ns=1000.0 if duration_ns is None else duration_ns,
        n_iterations=n_iterations,
        random_state=random_state or 0,
        rotating_wave=not lab_frame,
        quiet=output.silent,
    )
    _report(made, target, sigma, lab_frame, found.report, save, figure, output)


def _checked(save: Path | None, figure: Path | None, sigma: float) -> float:
    check_path("save", save, (".csv",))
    check_path("figure", figure, FIGURES)
    return one_number("sigma_V_per_m", sigma, at_least=0, at_most=_MOST_NOISE)


def _report(
    made: Any,
    name: str,
    sigma: float,
    lab_frame: bool,
    lines: list[str],
    save: Path | None,
    figure: Path | None,
    output: Output,
) -> None:
    """Print what errors do to a gate, and write it."""
    from solvable.lab.figure import save as save_figure
    from solvable.spins.gate_files import write_gate

    wave = {"rotating_wave": not lab_frame}
    offsets = np.array(_OFFSETS)
    at_offset = made.infidelity(offsets, **wave)
    x, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    noisy = float(weights @ made.infidelity(sigma * x, **wave) / weights.sum())
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
        "optimisation": lines,
    }
    device, place = made.device, save or "FILE.csv, after --save,"
    text = (
        f"A donor with {device.tunnel_coupling_GHz:g} GHz, {device.B0_T:g} T, {device.depth_nm:g} nm; "
        f"{made.duration_ns:.3f} ns; virtual rotations about z by {made.before:.4f} rad before and {made.after:.4f} "
        f"rad after; without errors {readable(facts['leakage'], 2)} leaks out of the qubit."
    )
    verdict = Verdict(
        f"{name} by {made.name}: mean infidelity {readable(noisy, 2)} at {sigma:g} V/m of slow noise",
        (
            Section("", text, Table(("error", "infidelity"), tuple(rows))),
            *([Section("Optimisation", points=tuple(lines))] if lines else []),
        ),
        (*_far(made), f"1/f noise is another matter: solvable spins noise-sweep --gate {place} --kind pink"),
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


def _far(made: Any) -> list[str]:
    """Return a note if the drives are far from the resonances of the donor."""
    at_rest = made.device.transitions(0.0)
    notes = []
    for name, line, what in (("nu_E_GHz", "f_ff_MHz", "electric"), ("nu_B_GHz", "f_esr_MHz", "magnetic")):
        nu, resonance = getattr(made.pulse, name), 1e-3 * float(at_rest[line])
        if nu and abs(nu - resonance) > _FAR_GHZ:
            notes.append(
                f"the {what} drive has {nu:.4g} GHz, and this donor its resonance at {resonance:.4g} GHz: is it the"
                " right donor?"
            )
    return notes


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
    if max(abs(theta), abs(phi), abs(lam)) > 4 * np.pi:
        raise InputError(f"target is {text!r}; expected angles in rad, and these look like degrees")
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)
    return np.array(
        [[cos, -np.exp(1j * lam) * sin], [np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos]]
    )
