"""Whatever a user may give as an activation."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from solvable.errors import InputError
from solvable.kernels.duals.closed_forms import GELU, ABReLU, Erf, Sine
from solvable.kernels.duals.mehler import AnyActivation
from solvable.kernels.duals.names import ACTIVATION_NAMES, as_activation

Z = np.linspace(-7.1, 7.3, 40)


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_every_name(name):
    activation = as_activation(name)
    assert as_activation(activation) is activation
    assert as_activation(name.upper().replace(" ", "_")) == activation
    assert hash(as_activation(name)) == hash(activation)
    np.testing.assert_allclose(activation(torch.as_tensor(Z)).numpy(), activation(Z), atol=1e-14)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", functional.relu),
        ("leaky relu", functional.leaky_relu),
        ("gelu", functional.gelu),
        ("tanh", torch.tanh),
        ("sigmoid", torch.sigmoid),
        ("swish", functional.silu),
        ("softplus", functional.softplus),
        ("elu", functional.elu),
        ("selu", functional.selu),
        ("mish", functional.mish),
        ("softsign", functional.softsign),
        ("hardtanh", functional.hardtanh),
        ("relu6", functional.relu6),
        ("hardswish", functional.hardswish),
        ("gelu tanh", lambda z: functional.gelu(z, approximate="tanh")),
    ],
)
def test_names_are_torchs_functions(name, function):
    np.testing.assert_allclose(as_activation(name)(Z), function(torch.as_tensor(Z)).numpy(), atol=1e-8)


@pytest.mark.parametrize(
    ("spec", "activation"),
    [
        (nn.ReLU(), ABReLU()),
        (nn.LeakyReLU(0.2), ABReLU(negative=0.2)),
        (nn.PReLU(), ABReLU(negative=0.25)),
        (nn.Identity(), ABReLU(negative=1.0)),
        (nn.GELU(), GELU()),
        (nn.GELU(approximate="tanh"), as_activation("gelu tanh")),
        (nn.Tanh(), as_activation("tanh")),
        (nn.SiLU(), as_activation("silu")),
        (nn.ELU(), as_activation("elu")),
        (nn.Softplus(), as_activation("softplus")),
        (nn.Hardtanh(), as_activation("hardtanh")),
        (nn.ReLU6(), as_activation("relu6")),
        (torch.tanh, as_activation("tanh")),
        (functional.relu, ABReLU()),
        (torch.sin, Sine()),
        (np.tanh, as_activation("tanh")),
        (np.abs, ABReLU(negative=-1.0)),
        ("Swish", as_activation("silu")),
        ("leakyrelu", as_activation("leaky relu")),
        ("ERF", Erf()),
    ],
)
def test_known_objects(spec, activation):
    assert as_activation(spec) == activation


@pytest.mark.parametrize(
    "spec", [nn.ELU(alpha=0.5), nn.Softplus(beta=2), nn.Hardtanh(-2, 1), nn.CELU(), torch.atan]
)
def test_other_torch_objects_are_wrapped(spec):
    activation = as_activation(spec)
    assert isinstance(activation, AnyActivation)
    np.testing.assert_allclose(activation(Z), spec(torch.as_tensor(Z)).numpy(), rtol=1e-14)
    value, slope = activation.dual(1.0, 1.0, 0.4)
    assert np.isfinite([value, slope]).all()


def test_a_numpy_function_on_a_tensor():
    activation = as_activation(np.arctan)
    z = torch.as_tensor(Z, dtype=torch.float32)
    result = activation(z)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), np.arctan(Z), rtol=1e-6)
    assert repr(activation) == "AnyActivation(arctan)"
    assert repr(as_activation(nn.CELU())) == "AnyActivation(CELU(alpha=1.0))"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("tahn", "unknown activation 'tahn'.*did you mean 'tanh'"),
        (nn.ReLU, r"add \(\) after the class: ReLU\(\)"),
        (3, "3 is not an activation; expected a name"),
        (None, "None is not an activation"),
        (nn.Linear(2, 2), "Linear is not an activation"),
        (nn.Softmax(dim=-1), "is not elementwise"),
        (nn.Dropout(), "other values when it is called again"),
    ],
)
def test_what_is_no_activation(spec, says):
    with pytest.raises(InputError, match=says):
        as_activation(spec)


def test_torch_is_not_imported():
    code = (
        "import sys, numpy as np; from solvable.kernels.duals.names import as_activation; "
        "as_activation('tanh').dual(1, 1, 0.5); as_activation(np.arctan); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
