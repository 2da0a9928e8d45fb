"""Write `fifty_digits.npz`: NNGP and NTK of nearly parallel inputs in 60-digit arithmetic; run it by hand.

    python tests/peers/make_fifty_digit_values.py

It needs mpmath and NumPy. The closed forms of the dual activations are verified by quadrature first.

The archive holds `inputs` (separations, 3, 7), for each of `separations` the rows x, x + separation·e and
2x + separation·e, exact as float64; `values` (cases, separations, 3, 3), K of these rows, rounded to float64
from more than 30 correct digits (w_std² is the square of the float64, not rounded); and `index`, a JSON list
with one dictionary per case: `at` (its place in `values`), `kernel` ("NNGP" or "NTK"), `activation`,
`parameters`, `depth` (the number of activations), `w_std`, `b_std`, `readout_w_std`, `readout_b_std`, in the
NTK parametrization.
"""

import json
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf

mp.dps = 60

FILE = Path(__file__).with_name("fifty_digits.npz")
DEPTHS = range(1, 6)
SEPARATIONS = [1.0, 1e-2, 1e-4, 1e-6, 1e-8]


def abrelu(low, high):
    """Return (dual, phi, slope) of low·min(z, 0) + high·max(z, 0)."""
    low, high = mpf(low), mpf(high)

    def dual(a, b, c):
        s = mpmath.sqrt(a * b)
        theta = mpmath.acos(max(min(c / s, mpf(1)), mpf(-1)))
        arc = (mp.pi - theta) / (2 * mp.pi)
        value = (high - low) ** 2 * (s * mpmath.sin(theta) / (2 * mp.pi) + arc * c) + low * high * c
        return value, (high - low) ** 2 * arc + low * high

    return dual, lambda z: (high if z > 0 else low) * z, lambda z: high if z > 0 else low


def erf():
    """Return (dual, phi, slope) of the error function."""

    def dual(a, b, c):
        D = (1 + 2 * a) * (1 + 2 * b)
        value = 2 / mp.pi * mpmath.asin(2 * c / mpmath.sqrt(D))
        return value, 4 / mp.pi / mpmath.sqrt(D - 4 * c * c)

    return dual, mpmath.erf, lambda z: 2 / mpmath.sqrt(mp.pi) * mpmath.exp(-z * z)


def gelu():
    """Return (dual, phi, slope) of z times the normal distribution function."""

    def dual(a, b, c):
        A, B = 1 + a, 1 + b
        D = A * B - c * c
        P = 1 / (2 * mp.pi * mpmath.sqrt(D))
        S = mpmath.asin(c / mpmath.sqrt(A * B)) / (2 * mp.pi)
        value = c / 4 + c * S + P * (a * b - c * c + c * c * (1 / A + 1 / B))
        return value, mpf(1) / 4 + S + c * P * (1 / A + 1 / B + 1 / D)

    return dual, lambda z: z * mpmath.ncdf(z), lambda z: mpmath.ncdf(z) + z * mpmath.npdf(z)


def sin(a, b, c):
    """Return (dual, phi, slope) of a sin(b z + c)."""
    height, frequency, phase = mpf(a), mpf(b), mpf(c)

    def dual(a, b, c):
        near = mpmath.exp(-(frequency**2) * (a + b - 2 * c) / 2)
        far = mpmath.cos(2 * phase) * mpmath.exp(-(frequency**2) * (a + b + 2 * c) / 2)
        return height**2 / 2 * (near - far), height**2 * frequency**2 / 2 * (near + far)

    return (
        dual,
        lambda z: height * mpmath.sin(frequency * z + phase),
        lambda z: height * frequency * mpmath.cos(frequency * z + phase),
    )


def gaussian(gamma):
    """Return (dual, phi, slope) of exp(-gamma z²)."""
    gamma = mpf(gamma)

    def dual(a, b, c):
        D = (1 + 2 * gamma * a) * (1 + 2 * gamma * b) - 4 * gamma**2 * c * c
        return 1 / mpmath.sqrt(D), 4 * gamma**2 * c / mpmath.sqrt(D) ** 3

    return (
        dual,
        lambda z: mpmath.exp(-gamma * z * z),
        lambda z: -2 * gamma * z * mpmath.exp(-gamma * z * z),
    )


def exponential(s):
    """Return (dual, phi, slope) of exp(s z)."""
    s = mpf(s)

    def dual(a, b, c):
        value = mpmath.exp(s * s * (a + b + 2 * c) / 2)
        return value, s * s * value

    return dual, lambda z: mpmath.exp(s * z), lambda z: s * mpmath.exp(s * z)


ACTIVATIONS = {
    "relu": ({}, lambda: abrelu(0, 1)),
    "leaky_relu": ({"alpha": 0.3}, lambda alpha: abrelu(alpha, 1)),
    "abs": ({}, lambda: abrelu(-1, 1)),
    "erf": ({}, erf),
    "gelu": ({}, gelu),
    "sin": ({"a": 0.8, "b": 1.7, "c": 0.4}, sin),
    "gaussian": ({"gamma": 1.0}, gaussian),
    "exponential": ({"s": 0.5}, exponential),
}
PIECEWISE_LINEAR = ("relu", "leaky_relu", "abs")

PLAIN = {"w_std": 1.3, "b_std": 0.0, "readout_w_std": 1.0, "readout_b_std": 0.0}
BIASED = {"w_std": 0.9, "b_std": 0.4, "readout_w_std": 1.2, "readout_b_std": 0.3}
SETTINGS = dict.fromkeys(ACTIVATIONS, (PLAIN, BIASED))
# With larger weights, the kernel of exp grows beyond all bounds in a few layers.
SETTINGS["exponential"] = (PLAIN | {"w_std": 0.7}, BIASED | {"w_std": 0.6})


def quadrature(phi, slope, a, b, c, piecewise_linear):
    """Return E φ(u)φ(v) and E φ'(u)φ'(v) without the closed form."""
    if piecewise_linear:
        # In polar coordinates of the plane: E r² = 2, and what is left is an integral over the angle.
        theta = mpmath.acos(c / mpmath.sqrt(a * b))
        kinks = [k * mp.pi / 2 for k in (-1, 1)] + [theta + k * mp.pi / 2 for k in (-3, -1, 1)]
        ends = [-mp.pi, *sorted(t for t in kinks if -mp.pi < t < mp.pi), mp.pi]

        def mean(f, factor):
            return (
                factor
                * mpmath.quad(lambda t: f(mpmath.cos(t)) * f(mpmath.cos(t - theta)), ends)
                / (2 * mp.pi)
            )

        return mean(phi, 2 * mpmath.sqrt(a * b)), mean(slope, 1)
    # Else the trapezoidal rule, which converges exponentially for analytic functions.
    step = mpf(1) / 4
    z = [step * k for k in range(-44, 45)]
    weights = [mpmath.npdf(x) * step for x in z]
    root, rest = mpmath.sqrt(a), mpmath.sqrt(b - c * c / a)
    sums = [mpf(0), mpf(0)]
    for x, w in zip(z, weights, strict=True):
        for which, f in enumerate((phi, slope)):
            inner = sum(v * f(c / root * x + rest * y) for y, v in zip(z, weights, strict=True))
            sums[which] += w * f(root * x) * inner
    return tuple(sums)


def verify_duals():
    """Compare every closed form with quadrature at unequal variances."""
    a, b, c = mpf("0.7"), mpf("1.1"), mpf("-0.3")
    with mp.workdps(25):
        for name, (parameters, make) in ACTIVATIONS.items():
            dual, phi, slope = make(**parameters)
            expected = quadrature(phi, slope, a, b, c, name in PIECEWISE_LINEAR)
            errors = [abs(x - y) for x, y in zip(dual(a, b, c), expected, strict=True)]
            print(f"{name}: closed forms off by {mpmath.nstr(errors[0], 2)}, {mpmath.nstr(errors[1], 2)}")
            assert max(errors) < mpf("1e-15")


def kernels(dual, x, y, setting):
    """Yield (NNGP, NTK) of two rows at the depths 1, 2, ..."""
    w2, b2, readout_w2, readout_b2 = (mpf(setting[name]) ** 2 for name in PLAIN)
    rows = [[mpf(float(v)) for v in row] for row in (x, y)]
    a, b, c = (w2 * mpmath.fdot(rows[i], rows[j]) / len(x) + b2 for i, j in ((0, 0), (1, 1), (0, 1)))
    ntk = c
    for _ in DEPTHS:
        value, factor = dual(a, b, c)
        nngp = readout_w2 * value + readout_b2
        yield nngp, nngp + readout_w2 * ntk * factor
        a, b, c = w2 * dual(a, a, a)[0] + b2, w2 * dual(b, b, b)[0] + b2, w2 * value + b2
        ntk = c + w2 * ntk * factor


def main():
    """Verify, compute everything and write the file."""
    verify_duals()
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal((2, 7))
    inputs = np.stack([[x, x + separation * e, 2 * x + separation * e] for separation in SEPARATIONS])
    index, values = [], []
    for name, (parameters, make) in ACTIVATIONS.items():
        dual = make(**parameters)[0]
        for setting in SETTINGS[name]:
            K = np.empty((len(DEPTHS), 2, len(SEPARATIONS), 3, 3))
            for at, rows in enumerate(inputs):
                for i in range(3):
                    for j in range(i + 1):
                        pair = np.array(list(kernels(dual, rows[i], rows[j], setting))).astype(float)
                        K[:, :, at, i, j] = K[:, :, at, j, i] = pair
            for depth in DEPTHS:
                for which, kernel in enumerate(("NNGP", "NTK")):
                    case = {"kernel": kernel, "activation": name, "parameters": parameters, "depth": depth}
                    index.append({"at": len(values), **case, **setting})
                    values.append(K[depth - 1, which])
    np.savez_compressed(
        FILE,
        inputs=inputs,
        separations=np.array(SEPARATIONS),
        values=np.stack(values),
        index=np.array(json.dumps(index)),
    )
    assert np.isfinite(values).all()
    print(f"{len(index)} cases, {FILE.stat().st_size / 1e3:.0f} kB, largest value {np.max(values):.3g}")


if __name__ == "__main__":
    main()
