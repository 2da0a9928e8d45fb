r"""Networks of one hidden layer with the infinite-width NTK of a deep network."""

from typing import TYPE_CHECKING, Any

from solvable.activations.design import design
from solvable.checks import whole
from solvable.errors import InputError, missing_extra

if TYPE_CHECKING:
    from solvable.activations.modules import ShallowNetwork


def shallow_copy_of(
    module: Any,
    family: str = "relu+cos",
    width: int = 4096,
    random_state: int | None = None,
    normalize: bool = False,
    **options: Any,
) -> "ShallowNetwork":
    r"""Return a network of one hidden layer whose NTK is, up to the fit's error, that of a deep network.

    The kernel is that of the same layers in the NTK parametrization, with the variances of the module's weights and
    biases. The variances are estimated from the current weights: copy before training, which changes them. In torch's
    (standard) parametrization the kernel grows with the width and stable learning rates shrink, so that the module's
    rates do not apply to the copy. The two kernels agree for inputs of norm $\sqrt d$; for other norms they differ.

    Args:
        module: a `torch.nn.Sequential` of `Linear` layers and elementwise activations.
        family: family of the activation: "relu+cos", "shifted relus" or "hermite".
        width: number of neurons of the copy.
        random_state: seed of its weights; None: a random seed.
        normalize: whether the copy scales its inputs to norm $\sqrt d$ itself.
        options: further arguments of `design`, such as `penalty`, or `degree` of a polynomial.

    Returns:
        a `ShallowNetwork` on the dtype and device of the module, its activation at `.activation.activation`.

    Raises:
        InputError: for modules with other layers.

    >>> import torch
    >>> deep = torch.nn.Sequential(
    ...     torch.nn.Linear(9, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3)
    ... )
    >>> shallow = shallow_copy_of(deep, width=256, random_state=0)
    >>> shallow(torch.ones(2, 9)).shape, shallow.activation.activation.kernel_error < 0.02
    (torch.Size([2, 3]), True)
    """
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "nets", "a shallow copy of a torch module") from None

    from solvable.activations.modules import ShallowNetwork
    from solvable.kernels import NTK, from_module

    width = whole("width", width, at_least=1)
    deep = from_module(module)
    if not isinstance(deep, NTK):
        raise InputError(
            "the module has Conv2d layers, whose kernel is not a function of the angle; expected a Sequential of "
            "Linear layers and activations"
        )
    kernel = NTK(deep.depth, deep.activation, deep.w_std, deep.b_std, deep.readout_w_std, deep.readout_b_std)
    linears = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
    weight = linears[0].weight
    generator = torch.Generator()
    if random_state is None:
        generator.seed()
    else:
        generator.manual_seed(whole("random_state", random_state, at_least=0))
    activation = design(kernel, "ntk", family=family, **options).module()
    network = ShallowNetwork(
        linears[0].in_features,
        width,
        linears[-1].out_features,
        activation,
        normalize,
        generator,
        weight.dtype,
    )
    return network.to(weight.device)
