"""The commands `solvable stepwise ...`."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from solvable.lab.text import readable
from solvable.lab.verdict import Section, Verdict
from solvable.terminal.arguments import OptionalWhole, Whole
from solvable.terminal.output import OUTPUT, Output, example

stepwise = App(
    name="stepwise",
    help="Self-supervised learning, one direction at a time: what a value of the loss says.",
    help_epilogue=example("solvable stepwise directions --loss 4000 --dim 8192"),
)


@stepwise.command(
    help_epilogue=example(
        "solvable stepwise directions --loss 41.9 --dim 2048 --lambda 0.0051 --batch-size 512"
    )
)
def directions(
    *,
    loss: float,
    dim: Whole,
    off_diagonal_weight: Annotated[float, Parameter(name=("--lambda", "--off-diagonal-weight"))] = 0.0051,
    batch_size: OptionalWhole = None,
    scale: float = 1.0,
    output: Output = OUTPUT,
) -> None:
    """Read the number of learned directions off a value of the Barlow Twins loss, as in a log file.

    Args:
        loss: Value of the loss.
        dim: Number of dimensions of the embedding, the projector's output.
        off_diagonal_weight: Weight of the off-diagonal terms.
        batch_size: Number of samples in a batch, across all devices; without it the part of the loss that is due to the
            finite batch cannot be subtracted, and small losses are read as too few directions.
        scale: Factor in front of the whole loss, such as 0.025 in solo-learn.
        output: How the result is printed.
    """
    from solvable.checks import one_number
    from solvable.stepwise.plateaus import directions_from_loss

    value = one_number("loss", loss, at_least=0) / one_number("scale", scale, above=0)
    found = directions_from_loss(value, dim, off_diagonal_weight, batch_size)
    output.emit(
        {
            "loss": value,
            "dim": dim,
            "off_diagonal_weight": off_diagonal_weight,
            "batch_size": batch_size,
            "directions": found.directions,
            "low": found.low,
            "high": found.high,
            "floor": found.floor,
        },
        [repr(found.directions)],
        lambda: print(_verdict(value, dim, off_diagonal_weight, found, batch_size, scale)),
    )


def _verdict(
    loss: float, dim: int, off_diagonal_weight: float, found: Any, batch_size: int | None, scale: float
) -> Verdict:
    from solvable.stepwise.explore_loss import sentence

    low, high = round(found.low), round(found.high)
    title = f"{low if low == high else f'{low} to {high}'} of {dim} directions are learned"
    text = sentence(found, loss, dim, off_diagonal_weight)
    if found.low >= 1:
        text += " Compare with the loss at step 0: some directions are there before training."
    elif abs(loss - dim) < 0.02 * dim:
        text += f" A loss of d = {dim} is that of embeddings that do not depend on the input."
    notes = []
    if scale != 1:
        notes.append(
            f"the loss without the factor is {readable(loss * scale, 4)} / {scale:g} = {readable(loss, 4)}"
        )
    if batch_size is None:
        notes.append(
            "the loss of a finite batch has a floor of about λ d (d - 1) / B, which was not subtracted: pass "
            "--batch-size"
        )
    elif found.floor:
        notes.append(
            f"{readable(found.floor, 3)} of the loss is due to the batch of {batch_size}, and was subtracted"
        )
    return Verdict(title, (Section("", text),), tuple(notes))
