"""Gates in CSV files: the samples of the pulse, and as comments all that reproduces the infidelity."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.fidelity import X90, unitary
from solvable.spins.gates import Gate, calibrated, one_pulse
from solvable.spins.pulse_files import read_comments, read_pulse


def write_gate(gate: Gate, path: str | Path) -> Path:
    """Write a gate: samples of its pulse, with name, device, target and virtual rotations as comments.

    Raises:
        InputError: if the file cannot be written.
    """
    one_pulse(gate, "a file")
    target = [[[float(one.real), float(one.imag)] for one in row] for row in gate.target]
    comments = {
        "name": gate.name,
        "before_rad": repr(float(gate.before)),
        "after_rad": repr(float(gate.after)),
        "target": json.dumps(target),
        "device": json.dumps(asdict(gate.device)),
    }
    return gate.pulse.to_csv(path, comments=comments)


def read_gate(path: str | Path, device: DonorDevice | None = None, target: ArrayLike | None = None) -> Gate:
    """Read a gate as `write_gate` writes it, or a pulse of your own.

    Args:
        path: FILE.csv with the columns of `Pulse.to_csv`.
        device: by default the one of the file, else the preset `robust`.
        target: unitary (2, 2); by default the one of the file, else X(π/2).

    Returns:
        The gate with the file's virtual rotations; with others of device or target, or without rotations in the file,
        with those that are best without noise.

    Raises:
        InputError: if the file cannot be read or its comments cannot be understood.
    """
    pulse, comments = read_pulse(path), read_comments(path)
    try:
        own_device = DonorDevice(**json.loads(comments["device"])) if "device" in comments else None
        parts = np.array(json.loads(comments["target"])) if "target" in comments else None
        own_target = None if parts is None else unitary(parts[..., 0] + 1j * parts[..., 1])
        phases = {
            name: float(comments[f"{name}_rad"]) for name in ("before", "after") if f"{name}_rad" in comments
        }
    except (ValueError, TypeError, IndexError) as problem:
        raise InputError(f"{path}: the comments of a gate cannot be understood: {problem}") from None
    device = device or own_device or DonorDevice()
    U = unitary(target) if target is not None else own_target if own_target is not None else X90
    gate = Gate(comments.get("name", Path(path).stem), device, pulse, U, **phases)
    same_target = own_target is not None and np.array_equal(U, own_target)
    return gate if len(phases) == 2 and device == own_device and same_target else calibrated(gate)
