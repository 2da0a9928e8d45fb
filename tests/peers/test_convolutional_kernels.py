"""Kernels of convolutional networks against neural-tangents 0.6.5 (data made by a script)."""

import json
from pathlib import Path

import numpy as np
import pytest

from solvable.kernels import ConvNNGP, ConvNTK
from solvable.kernels.duals import ABReLU, Erf

PEER = np.load(Path(__file__).parent / "neural_tangents_0_6_5.npz")
CONV = [case for case in json.loads(str(PEER["index"])) if case["kind"] == "conv"]
ACTIVATIONS = {"relu": ABReLU(), "erf": Erf()}


def name(case):
    words = [
        case["kernel"],
        case["activation"],
        case["depth"],
        case["padding"],
        case["readout"],
        case["b_std"],
    ]
    return "-".join(map(str, [*words, case["filter_size"], case["pool_after"]]))


@pytest.mark.parametrize("case", CONV, ids=name)
def test_against_neural_tangents(case):
    kind = {"NNGP": ConvNNGP, "NTK": ConvNTK}[case["kernel"]]
    same = ("w_std", "b_std", "readout_w_std", "readout_b_std", "filter_size", "padding")
    kernel = kind(
        case["depth"],
        ACTIVATIONS[case["activation"]],
        **{key: case[key] for key in same},
        readout="flatten" if case["readout"] == "flatten" else "global_average",
        pool_after=tuple(case["pool_after"]),
    )
    X, Z = PEER["conv/X"], PEER["conv/Z"]
    for K, peer, apart in (
        (kernel(X), PEER["conv/symmetric"][case["at"]], PEER["conv/separated_symmetric"]),
        (kernel(X, Z), PEER["conv/cross"][case["at"]], PEER["conv/separated_cross"]),
    ):
        off = np.abs(K - peer) / np.abs(peer).max()
        assert off[apart].max() < 1e-12
        # The peer's arccos loses half the digits where an image meets itself.
        assert off.max() < 1e-7
