"""A network minus what it says before it is trained."""

from copy import deepcopy

from torch import Tensor, nn

from solvable.errors import InputError


class Centred(nn.Module):
    r"""$f(x; \theta) - f(x; \theta_0)$: zero everywhere at the start, and with the gradients of f.

    Attributes:
        module: what is trained.
        start: its copy at the start, which is not.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.start = deepcopy(module).requires_grad_(False)

    def forward(self, X: Tensor) -> Tensor:
        return self.module(X) - self.start(X)


def centred(module: nn.Module) -> Centred:
    r"""Return the module minus its own output of now, so that training starts from the function 0.

    A wide network starts from a random function of the size of its targets, which kernel regression does not: a
    formula for its training is one for the centred network. The module itself is trained, the copy is not.

    Args:
        module: any module; left as it is.

    Raises:
        InputError: when it is no `torch.nn.Module`.

    >>> import torch
    >>> net = centred(torch.nn.Linear(3, 2))
    >>> net(torch.ones(1, 3)).tolist()
    [[0.0, 0.0]]
    """
    if not isinstance(module, nn.Module):
        raise InputError(
            f"module is a {type(module).__name__}; expected a torch.nn.Module; give the network itself"
        )
    return Centred(module)
