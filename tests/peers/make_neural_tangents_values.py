"""Write `neural_tangents_0_6_5.npz`: NNGP and NTK values of neural-tangents 0.6.5; run it by hand.

It needs an environment of its own (Python 3.11), for neural-tangents' import fails on newer jax:

    python -m venv peer
    peer/bin/python -m pip install neural-tangents==0.6.5 jax==0.4.30 jaxlib==0.4.30 "numpy<2" "scipy<1.14"
    peer/bin/python tests/peers/make_neural_tangents_values.py

The values here were made with numpy 1.26.4, scipy 1.13.1, tf2jax 0.3.6 and tensorflow 2.21.0, in float64.

The archive holds the inputs `dense/X` (6, 7), `dense/Z` (5, 7), `conv/X` (4, 8, 8, 3), `conv/Z` (3, 8, 8, 3),
the stacked values `dense/symmetric` (cases, 6, 6), `dense/cross` (cases, 6, 5), `conv/symmetric` and
`conv/cross`, for both kinds the masks `separated_symmetric` and `separated_cross`, true for pairs that are
neither equal, parallel nor antiparallel (for others the closed forms of neural-tangents keep only some 8
digits, and its rectified powers are NaN), and `index`, a JSON list with one dictionary per case:

- `kind`: "dense" or "conv", the prefix of its arrays; `at`: its place along their first axis;
- `source`: "neural-tangents", or "quadrature": our own two-dimensional trapezoidal rule (tanh, silu, softplus
  and sigmoid, for which neural-tangents has an error of 1e-4), see `quadrature_kernels`;
- `kernel`: "NNGP" or "NTK"; `depth`: the number of activations;
- `activation`, `parameters`: a name and numbers, see `ACTIVATIONS`;
- `w_std`, `b_std` of the hidden layers, `readout_w_std`, `readout_b_std`; in the standard parametrization
  `b_std` and `readout_b_std` may be null: no biases (0.0: biases that start at 0 and are trained);
- `parametrization`: "ntk" or "standard", `widths`: of the hidden layers, or null;
- for "conv": `padding`, `filter_size`, `readout` ("flatten" or "global_average"), `pool_after`: the layers,
  counted from 1, after whose activation there is an average pooling 2×2 of stride 2.

tests/peers/README.md shows how to read it.
"""

import json
import warnings
from pathlib import Path

import jax
import numpy as np
from neural_tangents import stax
from scipy.special import expit

jax.config.update("jax_enable_x64", True)

FILE = Path(__file__).with_name("neural_tangents_0_6_5.npz")

ACTIVATIONS = {
    "relu": (lambda: stax.Relu(), {}),
    # alpha is the slope on the negative side
    "leaky_relu": (lambda alpha: stax.LeakyRelu(alpha), {"alpha": 0.3}),
    "abs": (lambda: stax.ABRelu(-1, 1), {}),
    # max(z, 0)^power
    "rectified_power": (lambda power: stax.RectifiedMonomial(power), {"power": 2}),
    "erf": (lambda: stax.Erf(), {}),
    "gelu": (lambda: stax.Gelu(), {}),
    # a sin(b z + c), a cos(b z + c)
    "sin": (lambda a, b, c: stax.Sin(a, b, c), {"a": 0.8, "b": 1.7, "c": 0.4}),
    "cos": (lambda a, b, c: stax.Cos(a, b, c), {"a": 1.1, "b": 0.9, "c": 0.2}),
    # exp(-gamma z^2)
    "gaussian": (lambda gamma: stax.Gaussian(1.0, -gamma), {"gamma": 1.0}),
    # exp(s z)
    "exponential": (lambda s: stax.Exp(1.0, s), {"s": 0.5}),
    # sum of coefficients[k] z^k
    "polynomial": (
        lambda coefficients: stax.Polynomial(coefficients),
        {"coefficients": [0.3, 0.7, -0.2, 0.1]},
    ),
}
"""neural-tangents' layer of each name, and the parameters that it is asked with."""

OURS = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z))),
    "softplus": (lambda z: np.logaddexp(z, 0), expit),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
}
"""Activations without closed form, and their derivatives."""

PLAIN = {"w_std": 1.3, "b_std": 0.0, "readout_w_std": 1.0, "readout_b_std": 0.0}
BIASED = {"w_std": 0.9, "b_std": 0.4, "readout_w_std": 1.2, "readout_b_std": 0.3}
AUTHORS = {"w_std": 2**0.5, "b_std": 0.1, "readout_w_std": 2**0.5, "readout_b_std": 0.1}
SMALL = {"w_std": 0.7, "b_std": 0.0, "readout_w_std": 1.5, "readout_b_std": 0.0}


def dense_inputs():
    """Return X and Z: unequal norms; equal, antiparallel and rescaled pairs within X and between X and Z."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 7)) * np.array([0.4, 0.7, 1.0, 1.2, 1.0, 1.0])[:, None]
    Z = rng.standard_normal((5, 7)) * np.array([1.0, 1.0, 1.0, 0.5, 1.3])[:, None]
    X[4], X[5] = 1.5 * X[1], -X[0]
    Z[0], Z[1], Z[2] = X[0], -X[2], 0.75 * X[3]
    return X, Z


def separated(X, Z):
    """Return for each pair of rows whether they are neither parallel nor antiparallel."""
    norms = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(Z, axis=1)
    return np.abs(X @ Z.T) / norms < 1 - 1e-8


def dense_kernels(X, Z, case):
    """Return neural-tangents' kernels of `case`: {name: (of X, of X and Z)}."""
    standard = case["parametrization"] == "standard"
    make, _ = ACTIVATIONS[case["activation"]]
    layers = []
    for layer in range(case["depth"]):
        width = case["widths"][layer] if standard else 1
        layers.append(
            stax.Dense(width, case["w_std"], case["b_std"], parameterization=case["parametrization"])
        )
        layers.append(make(**case["parameters"]))
    readout = case["readout_w_std"], case["readout_b_std"]
    layers.append(stax.Dense(1, *readout, parameterization=case["parametrization"]))
    return evaluated(stax.serial(*layers)[2], X, Z)


def conv_kernels(X, Z, case):
    """Return neural-tangents' convolutional kernels of `case`: {name: (of X, of X and Z)}."""
    make, _ = ACTIVATIONS[case["activation"]]
    layers = []
    for layer in range(1, case["depth"] + 1):
        size = (case["filter_size"],) * 2
        layers.append(stax.Conv(1, size, padding=case["padding"], W_std=case["w_std"], b_std=case["b_std"]))
        layers.append(make(**case["parameters"]))
        if layer in case["pool_after"]:
            layers.append(stax.AvgPool((2, 2), (2, 2)))
    layers.append(stax.Flatten() if case["readout"] == "flatten" else stax.GlobalAvgPool())
    layers.append(stax.Dense(1, case["readout_w_std"], case["readout_b_std"]))
    return evaluated(stax.serial(*layers)[2], X, Z)


def evaluated(kernel_fn, X, Z):
    """Return {"NNGP": (of X, of X and Z), "NTK": ...}."""
    own, cross = kernel_fn(X, None, ("nngp", "ntk")), kernel_fn(X, Z, ("nngp", "ntk"))
    return {
        name: (np.array(getattr(own, name.lower())), np.array(getattr(cross, name.lower())))
        for name in KERNELS
    }


KERNELS = ("NNGP", "NTK")


def quadrature_kernels(X, Z, case, step=0.1, end=9.5):
    """Return the same for an activation of `OURS`, by the trapezoidal rule on the plane.

    For functions analytic in a strip it converges exponentially in 1/`step`: at half the step nothing changes.
    """
    phi, slope = OURS[case["activation"]]
    z = np.arange(-end, end + step / 2, step)
    weights = np.exp(-(z**2) / 2)
    weights /= weights.sum()

    def moment(f, a, b, c):
        u = np.sqrt(a) * z
        v = (c / np.sqrt(a) * z)[:, None] + np.sqrt(max(b - c * c / a, 0.0)) * z
        return weights @ (f(u)[:, None] * f(v)) @ weights

    def pair(x, y):
        w2, b2 = case["w_std"] ** 2, case["b_std"] ** 2
        a, b, c = (w2 * (p @ q) / len(x) + b2 for p, q in ((x, x), (y, y), (x, y)))
        ntk = c
        for layer in range(case["depth"]):
            if layer == case["depth"] - 1:
                w2, b2 = case["readout_w_std"] ** 2, case["readout_b_std"] ** 2
            value, factor = moment(phi, a, b, c), moment(slope, a, b, c)
            a, b = w2 * moment(phi, a, a, a) + b2, w2 * moment(phi, b, b, b) + b2
            c = w2 * value + b2
            ntk = c + w2 * ntk * factor
        return c, ntk

    own, cross = (np.array([[pair(x, y) for y in Y] for x in X]) for Y in (X, Z))
    return {name: (own[..., i], cross[..., i]) for i, name in enumerate(KERNELS)}


def dense_cases():
    """Yield all fully-connected cases, without the kernel's name."""
    ntk = {"kind": "dense", "source": "neural-tangents", "parametrization": "ntk", "widths": None}
    for activation, (_, parameters) in ACTIVATIONS.items():
        case = ntk | {"activation": activation, "parameters": parameters}
        if activation == "rectified_power":  # of two such layers neural-tangents makes nothing but NaN
            yield from (
                case | s | {"parameters": {"power": n}, "depth": 1} for s in (SMALL, BIASED) for n in (2, 3)
            )
        elif activation == "polynomial":
            yield from (case | s | {"depth": depth} for s in (SMALL, BIASED) for depth in (1, 2))
        else:
            plain = SMALL if activation == "exponential" else PLAIN
            biased = BIASED | {"w_std": 0.8} if activation == "exponential" else BIASED
            yield from (case | s | {"depth": depth} for s in (plain, biased) for depth in range(1, 6))
    yield from (
        ntk | AUTHORS | {"activation": "relu", "parameters": {}, "depth": depth} for depth in (1, 2, 4)
    )
    standard = {"kind": "dense", "source": "neural-tangents", "parametrization": "standard", "parameters": {}}
    for activation in ("relu", "erf"):
        for widths in ([64], [64, 128, 32]):
            for b_std, readout_b_std in ((None, None), (0.0, 0.0), (0.4, 0.3)):
                yield standard | {
                    "activation": activation,
                    "widths": widths,
                    "depth": len(widths),
                    "w_std": 1.3,
                    "b_std": b_std,
                    "readout_w_std": 0.8,
                    "readout_b_std": readout_b_std,
                }
    for activation in OURS:
        case = ntk | {"source": "quadrature", "activation": activation, "parameters": {}}
        yield from (case | s | {"depth": depth} for s in (PLAIN, BIASED) for depth in (1, 2, 3, 5))


def conv_cases():
    """Yield all convolutional cases, without the kernel's name."""
    base = {
        "kind": "conv",
        "source": "neural-tangents",
        "parametrization": "ntk",
        "widths": None,
        "parameters": {},
        "filter_size": 3,
        "pool_after": [],
    }
    for padding in ("SAME", "VALID", "CIRCULAR"):
        for depth in (1, 2, 3):
            for readout in ("flatten", "global_average"):
                case = base | {"padding": padding, "depth": depth, "readout": readout}
                yield case | PLAIN | {"activation": "relu"}
                yield case | BIASED | {"activation": "relu"}
                yield case | BIASED | {"activation": "erf"}
    for readout in ("flatten", "global_average"):
        case = base | BIASED | {"padding": "SAME", "readout": readout, "activation": "relu"}
        yield case | {"filter_size": 5, "depth": 2}
        yield case | {"filter_size": 2, "depth": 2}
        yield case | {"filter_size": 1, "depth": 2}
        yield case | {"filter_size": 5, "depth": 2, "padding": "CIRCULAR"}
        yield case | {"depth": 3, "pool_after": [2, 3]}
        yield case | {"depth": 3, "pool_after": [2, 3]} | PLAIN | {"padding": "CIRCULAR"}
        yield case | {"depth": 2, "pool_after": [1], "activation": "erf"}


def main():
    """Compute everything and write the file."""
    warnings.simplefilter("ignore")
    X, Z = dense_inputs()
    rng = np.random.default_rng(1)
    images = rng.standard_normal((4, 8, 8, 3)) * np.array([0.5, 1.0, 1.0, 1.5])[:, None, None, None]
    more_images = rng.standard_normal((3, 8, 8, 3)) + 0.3
    assert jax.numpy.ones(1).dtype == np.float64

    check = {"activation": "tanh", "depth": 3} | BIASED
    for activation in OURS:
        fine, finer = (
            quadrature_kernels(X[:4], Z[:4], check | {"activation": activation}, step=step)["NTK"]
            for step in (0.1, 0.05)
        )
        assert all(np.allclose(f, g, rtol=3e-15, atol=0) for f, g in zip(fine, finer, strict=True))

    masks = {
        "dense": (separated(X, X), separated(X, Z)),
        "conv": (~np.eye(len(images), dtype=bool), np.ones((len(images), len(more_images)), dtype=bool)),
    }
    index, values = [], {}
    for case in (*dense_cases(), *conv_cases()):
        inputs = (X, Z) if case["kind"] == "dense" else (images, more_images)
        if case["kind"] == "conv":
            kernels = conv_kernels(*inputs, case)
        elif case["source"] == "quadrature":
            kernels = quadrature_kernels(*inputs, case)
        else:
            kernels = dense_kernels(*inputs, case)
        for name, (own, cross) in kernels.items():
            symmetric = values.setdefault(f"{case['kind']}/symmetric", [])
            for K, apart in zip((own, cross), masks[case["kind"]], strict=True):
                assert np.isfinite(K[apart]).all(), case
            index.append(case | {"kernel": name, "at": len(symmetric)})
            symmetric.append(own)
            values.setdefault(f"{case['kind']}/cross", []).append(cross)
    np.savez_compressed(
        FILE,
        **{"dense/X": X, "dense/Z": Z, "conv/X": images, "conv/Z": more_images},
        **{f"{kind}/separated_symmetric": both[0] for kind, both in masks.items()},
        **{f"{kind}/separated_cross": both[1] for kind, both in masks.items()},
        **{key: np.stack(stack) for key, stack in values.items()},
        index=np.array(json.dumps(index)),
    )
    print(f"{len(index)} cases, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
