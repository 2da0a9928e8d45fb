"""The value of each loss when nothing is learned. It needs no torch, so that a log file can be read without it."""

from math import log, sqrt

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError

_NEEDS = {
    "barlow_twins": "dim",
    "squared_vicreg": "dim",
    "dino": "dim",
    "info_nce": "batch_size",
    "clip": "batch_size",
    "nt_xent": "batch_size",
    "vicreg": None,
    "spectral_contrastive": None,
}


def nothing_learned(
    loss: str,
    *,
    dim: int | None = None,
    batch_size: int | None = None,
    variance: float = 25.0,
    eps: float = 1e-4,
) -> float:
    r"""Return the value that a loss has when all embeddings of a batch are equal.

    | loss | value | |
    |---|---|---|
    | `barlow_twins`, `squared_vicreg` | $d$ | |
    | `vicreg` | $v\,(1 - \sqrt{\epsilon})$ | 24.75 by default |
    | `info_nce`, `clip` | $\ln B$ | at any temperature |
    | `nt_xent` | $\ln(2B - 1)$ | at any temperature |
    | `spectral_contrastive` | 0 | embeddings near 0 |
    | `dino` | $\ln K$ | uniform teacher and student |

    Without centring, those of `barlow_twins` and `squared_vicreg` too are for embeddings near 0, as after a small
    initialisation.

    Args:
        loss: a name of the table; all but `dino` are functions of `solvable.stepwise.losses`.
        dim: d, the width of the embeddings; for `dino` K, the number of prototypes.
        batch_size: B, the number of pairs in a batch; of all devices, if the loss gathers their embeddings.
        variance: v, the weight of the variance term of `vicreg`.
        eps: $\epsilon$ of `vicreg`, below 1.

    Raises:
        InputError: for an unknown name, numbers out of range, or if the number that the value needs is missing.

    >>> nothing_learned("barlow_twins", dim=8192), nothing_learned("vicreg")
    (8192.0, 24.75)
    >>> round(nothing_learned("nt_xent", batch_size=256), 3)
    6.236
    """
    needed = _NEEDS[choice("loss", loss, _NEEDS)]
    if needed and (dim if needed == "dim" else batch_size) is None:
        raise InputError(f"the value of {loss} when nothing is learned depends on {needed}; got none")
    if loss == "vicreg":
        eps = one_number("eps", eps, at_least=0, at_most=1)
        return one_number("variance", variance, at_least=0) * (1 - sqrt(eps))
    if loss == "spectral_contrastive":
        return 0.0
    if needed == "dim":
        width = whole("dim", dim, at_least=1)
        return log(width) if loss == "dino" else float(width)
    pairs = whole("batch_size", batch_size, at_least=1)
    return log(2 * pairs - 1 if loss == "nt_xent" else pairs)
