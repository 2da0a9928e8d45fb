"""Kernels of fully-connected networks against neural-tangents 0.6.5, quadrature and 50 digits, all made by scripts."""

import json
from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch

from solvable.kernels import NNGP, NTK
from solvable.kernels.duals import GELU, ABReLU, Erf, Exponential, GaussianBump, Sine

HERE = Path(__file__).parent
PEER = np.load(HERE / "neural_tangents_0_6_5.npz")
DIGITS = np.load(HERE / "fifty_digits.npz")
DENSE = [case for case in json.loads(str(PEER["index"])) if case["kind"] == "dense"]
PARALLEL = json.loads(str(DIGITS["index"]))
CLOSED = {
    "relu": ABReLU,
    "leaky_relu": lambda alpha: ABReLU(alpha),
    "abs": lambda: ABReLU(-1.0),
    "erf": Erf,
    "gelu": GELU,
    "sin": lambda a, b, c: Sine(a, b, c),
    "cos": lambda a, b, c: Sine(a, b, c + pi / 2),
    "gaussian": GaussianBump,
    "exponential": lambda s: Exponential(s),
}
ANY = {
    "tanh": lambda: np.tanh,
    "silu": lambda: lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda: lambda z: np.logaddexp(0, z),
    "sigmoid": lambda: lambda z: 1 / (1 + np.exp(-z)),
    "polynomial": lambda coefficients: lambda z: np.polynomial.polynomial.polyval(z, coefficients),
    "rectified_power": lambda power: lambda z: np.maximum(z, 0) ** power,
}


def name(case):
    words = [case["kernel"], case["activation"], case["depth"], case["b_std"], case["readout_w_std"]]
    return "-".join(map(str, [*words, case.get("parametrization", ""), case["parameters"] or ""]))


def ours(case, activation):
    variances = {key: case[key] for key in ("w_std", "b_std", "readout_w_std", "readout_b_std")}
    if case["kernel"] == "NNGP":
        return NNGP(case["depth"], activation, **variances)
    return NTK(
        case["depth"],
        activation,
        **variances,
        parametrization=case.get("parametrization", "ntk"),
        widths=case.get("widths"),
    )


def largest_difference(K, peer, where):
    # The peer's rectified powers are NaN for parallel pairs.
    return np.abs(K - peer)[where].max() / np.nanmax(np.abs(peer))


@pytest.mark.parametrize("case", [case for case in DENSE if case["activation"] in CLOSED], ids=name)
def test_closed_forms_against_neural_tangents(case):
    kernel = ours(case, CLOSED[case["activation"]](**case["parameters"]))
    X, Z = PEER["dense/X"], PEER["dense/Z"]
    for library in (np.asarray, torch.as_tensor):
        K, cross = np.asarray(kernel(library(X))), np.asarray(kernel(library(X), library(Z)))
        symmetric, rectangle = PEER["dense/symmetric"][case["at"]], PEER["dense/cross"][case["at"]]
        # Near parallel and opposite pairs the peer itself is wrong by 1e-8; those are compared with 50 digits below.
        assert largest_difference(K, symmetric, PEER["dense/separated_symmetric"]) < 1e-13
        assert largest_difference(cross, rectangle, PEER["dense/separated_cross"]) < 1e-13
        assert largest_difference(K, symmetric, ...) < 1e-7


@pytest.mark.parametrize("case", PARALLEL, ids=name)
def test_closed_forms_on_nearly_parallel_pairs_against_fifty_digits(case):
    kernel = ours(case, CLOSED[case["activation"]](**case["parameters"]))
    for X, exact in zip(DIGITS["inputs"], DIGITS["values"][case["at"]], strict=True):
        for K in (kernel(X), kernel(X, X.copy())):
            assert largest_difference(K, exact, ...) < 1e-12


@pytest.mark.parametrize("case", [case for case in DENSE if case["activation"] in ANY], ids=name)
def test_any_callable_within_its_tolerance(case):
    K = ours(case, ANY[case["activation"]](**case["parameters"]))(PEER["dense/X"], PEER["dense/Z"])
    assert largest_difference(K, PEER["dense/cross"][case["at"]], PEER["dense/separated_cross"]) < 1e-6
