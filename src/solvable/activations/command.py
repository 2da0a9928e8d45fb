"""The commands `solvable activations ...`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from solvable.activations.design import design
from solvable.activations.designed import DesignedActivation
from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.lab.figure import save
from solvable.terminal.arguments import FIGURES, OptionalWhole, Whole, check_path
from solvable.terminal.output import OUTPUT, Output, example

_COSINES = (0.5, 0.9)
_MOST_PRINTED = 12
_HUGE, _HIGHEST = 10**9, 100
# With an error above this share of K(1), a polynomial may not be the best choice.
_FAR = 0.05

activations = App(
    name="activations",
    help="Activations designed for a kernel: one hidden layer that behaves like a deep network.",
    help_epilogue=example('solvable activations design "relu ntk depth 4"'),
)


@activations.command(
    name="design",
    help_epilogue=example('solvable activations design "relu ntk depth 4" --family relu+cos'),
)
def design_command(
    kernel: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    family: Literal["hermite", "relu+cos", "shifted-relus"] = "hermite",
    kind: Literal["ntk", "nngp", "first-layer"] = "ntk",
    degree: OptionalWhole = None,
    signs: str = "alternate pairs",
    project: bool = False,
    width: Whole = 4096,
    code: Annotated[Path | None, Parameter(name="--output")] = None,
    library: Literal["numpy", "torch"] = "numpy",
    source: bool = False,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Design an activation with which a network of ONE hidden layer has a given kernel.

    Args:
        kernel: "relu ntk 4", "relu nngp 2" (weight variance 2 in all layers, including the readout), and likewise with
            the name of any activation ("tanh ntk 3", "erf nngp depth 2"); gaussian:1, laplace:1, matern32:1, matern52:1
            (the number is the length scale on the unit sphere); or power coefficients a_0,a_1,... as in 0,1,0,0,1.
        family: hermite (a polynomial), relu+cos or shifted-relus (both for kernels of ReLU networks).
        kind: Trained parameters: ntk (all), nngp (the readout), first-layer.
        degree: Degree of the polynomial (family hermite). By default that of the power coefficients, otherwise 5.
        signs: Signs of its coefficients: "alternate pairs", positive, "minimise variance", or a string such as ++--++.
        project: Use the nearest kernel that an activation has, if none has this kernel.
        width: Number of neurons of the network whose error bars are printed and drawn.
        code: Write the activation as Python code to FILE.py.
        library: Library that the code uses.
        source: Print the code.
        figure: Draw kernel and activation to FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    check_path("output", code, (".py",))
    check_path("figure", figure, FIGURES)
    width = whole("width", width, at_least=1, at_most=10**12)
    try:
        phi = design(
            _kernel(kernel), kind.replace("-", " "), degree, family.replace("-", " "), _signs(signs), project
        )
    except InputError as error:
        # On the command line the remedy has another name.
        raise InputError(str(error).replace("design(..., project=True)", "--project")) from None
    facts = _facts(phi, width, library if source else None)
    files = {
        code: lambda path: path.write_text(phi.source(library), encoding="utf-8"),
        figure: lambda path: save(phi.plot(width), path),
    }
    short = [repr(b) for b in phi.coefficients.tolist()]
    output.emit(facts, short, lambda: _print(phi, facts, width), files)


def _facts(phi: DesignedActivation, width: int, library: str | None) -> dict[str, Any]:
    means, stds = phi.curve(_COSINES), phi.finite_width_std(_COSINES, width)
    formula = phi.formula
    return {
        "kernel": phi.target_name,
        "kind": phi.kind,
        "family": phi.family,
        "formula": str(formula),
        "coefficients": phi.coefficients.tolist(),
        "rectifiers": [list(pair) for pair in formula.rectifiers],
        "cosine": None if formula.cosine is None else list(formula.cosine),
        "kernel_error": phi.kernel_error,
        "kernel_rms_error": phi.kernel_rms_error,
        "kernel_at_1": float(phi.curve(1.0)),
        "asked_at_1": phi.target[0],
        "fourth_moment": phi.fourth_moment,
        "width": width,
        "finite_width": [
            {
                "cosine": c,
                "kernel": k,
                "std": s,
                "required_width": None if abs(k) < 1e-12 else phi.required_width(0.1, c),
            }
            for c, k, s in zip(_COSINES, means.tolist(), stds.tolist(), strict=True)
        ],
        "source": None if library is None else phi.source(library),
    }


def _print(phi: DesignedActivation, facts: dict[str, Any], width: int) -> None:
    print(f"phi(z) = {phi.formula}\n")
    first = [_coefficient(b) for b in phi.coefficients[:_MOST_PRINTED].tolist()]
    more = ", …" * (phi.degree >= _MOST_PRINTED)
    print(f"Hermite coefficients b_0 … b_{phi.degree}: {', '.join(first)}{more}")
    print(f"target {phi.kind}: {phi.target_name}")
    print(f"{phi.closeness}; K(1) = {facts['kernel_at_1']:.4g}, target {facts['asked_at_1']:.4g}")
    if (hint := _hint(phi)) is not None:
        print(hint)
    for row in facts["finite_width"]:
        c, n = row["cosine"], row["required_width"]
        words = (
            "where the kernel is 0"
            if n is None
            else f"10 % needs {n if n < _HUGE else f'{float(n):.4g}'} neuron{'s' * (n != 1)}"
        )
        print(f"at c = {c}: K = {row['kernel']:.4g} ± {row['std']:.3g} with {width} neurons; {words}")
    if facts["source"] is not None:
        print(f"\n{facts['source']}", end="")


def _coefficient(b: float) -> str:
    return "0" if b == 0 else f"{b:.4f}" if 1e-4 <= abs(b) < 1e4 else f"{b:.4g}"


def _hint(phi: DesignedActivation) -> str | None:
    """Return a hint at a closer design if a polynomial is far off."""
    if phi.family != "hermite" or phi.kernel_error <= _FAR:
        return None
    # At half the angle a kernel with a kink (ReLU networks, Laplace) has half the fall, a smooth one a quarter.
    at_0, half, whole_ = phi.target[:3]
    if at_0 - half > 0.4 * (at_0 - whole_) > 0:
        return "another family may come closer: --family relu+cos or shifted-relus"
    return f"a polynomial of more terms may come closer: --degree {min(2 * max(phi.degree, 1), _HIGHEST)}"


def _kernel(text: str) -> Any:
    """Return the kernel argument of `design` for the text on the command line."""
    if text.strip()[:1] in "0123456789.+-":
        return [_number(text, word) for word in text.split(",")]
    name, colon, length = text.partition(":")
    kernel = as_kernel(name)
    if not colon:
        if getattr(kernel, "length_scale", 0.0) is None:
            raise InputError(
                f"kernel {text!r} is given without a length scale; expected one on the unit sphere, as in {name}:1"
            )
        return kernel
    if not hasattr(kernel, "length_scale"):
        raise InputError(f"kernel {name!r} has no length scale; expected its name alone, without :{length}")
    scale: Any = {"length_scale": one_number("length scale", _number(text, length), above=0)}
    return replace(kernel, **scale)


def _number(text: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(
            f"kernel is {text!r}, in which {word!r} is not a number; expected numbers such as 0,1,0,0.5"
        ) from None


def _signs(text: str) -> str | list[int]:
    if text and set(text) <= {"+", "-"}:
        return [1 if sign == "+" else -1 for sign in text]
    return text.replace("-", " ")
