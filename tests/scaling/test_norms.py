"""Largest singular values, against LAPACK and against explicit matrices of convolutions."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.scaling import operator_norm, spectral_norm
from solvable.scaling.norms import power_steps

RNG = np.random.default_rng(0)


def of_singular_values(values: list[float], m: int, n: int) -> np.ndarray:
    """A matrix (m, n) with these singular values, and zeros."""
    rng = np.random.default_rng(1)
    U, V = (np.linalg.qr(rng.normal(size=(size, len(values))))[0] for size in (m, n))
    return U * values @ V.T


MATRICES = {
    "small": RNG.normal(size=(20, 30)),
    "tall": RNG.normal(size=(300, 40)),
    "square": RNG.normal(size=(200, 200)),
    "wide": RNG.normal(size=(130, 260)),
    "one column": RNG.normal(size=(500, 1)),
    "one row": RNG.normal(size=(1, 500)),
    "one number": np.array([[-3.0]]),
    "zero": np.zeros((150, 120)),
    "zero columns": RNG.normal(size=(150, 120)) * (np.arange(120) < 3),
    "rank 1": np.outer(RNG.normal(size=150), RNG.normal(size=120)),
    "rank 3": of_singular_values([5, 4.999, 1], 150, 130),
    "rank 100": RNG.normal(size=(200, 100)) @ RNG.normal(size=(100, 150)),
    "repeated": of_singular_values([2.0] * 40 + [1.0] * 60, 150, 130),
    "orthogonal": of_singular_values([1.0] * 130, 130, 130),
    "identity": np.eye(200),
    "close": of_singular_values(list(1 - np.linspace(0, 1e-3, 100)), 150, 130),
    "tiny": 1e-30 * RNG.normal(size=(150, 120)),
    "tinier": 1e-200 * RNG.normal(size=(150, 120)),
    "huge": 1e200 * RNG.normal(size=(150, 120)),
    "a spike": RNG.normal(size=(150, 120)) + 2e3 * (np.arange(150 * 120) == 7).reshape(150, 120),
    "of many scales": of_singular_values(list(10.0 ** -np.arange(20)), 150, 130),
    "three dimensions": RNG.normal(size=(120, 20, 9)),
    "empty": np.zeros((0, 5)),
}


def reference(M: np.ndarray) -> float:
    if not M.size:
        return 0.0
    largest = np.abs(M).max() or 1.0
    return float(np.linalg.norm(M.reshape(len(M), -1) / largest, 2) * largest)


@pytest.mark.parametrize("name", MATRICES)
def test_the_largest_singular_value(name) -> None:
    """Without a gap to the next one, the error is a fraction of the residual of 1e-6; else of its square."""
    M = MATRICES[name]
    exact = reference(M)
    value, left, right = spectral_norm(M, return_vectors=True)
    assert type(value) is float
    assert value == spectral_norm(M)
    assert value == pytest.approx(exact, rel=1e-6)
    frobenius = float(np.linalg.norm(M / (np.abs(M).max() or 1.0))) * np.abs(M).max() if M.size else 0.0
    assert value <= frobenius * (1 + 1e-12)
    assert value <= exact * (1 + 1e-12)
    if exact:
        u, v, flat = left.numpy(), right.numpy(), M.reshape(len(M), -1) / exact
        assert np.linalg.norm(u) == pytest.approx(1, abs=1e-9)
        assert np.linalg.norm(v) == pytest.approx(1, abs=1e-9)
        assert np.linalg.norm(flat @ v - u) < 2e-6
        assert np.linalg.norm(flat.T @ u - v) < 2e-6
    else:
        assert not left.any()
        assert not right.any()


def test_a_loose_tolerance_takes_fewer_steps_and_stays_below() -> None:
    M = MATRICES["square"]
    exact = reference(M)
    loose = spectral_norm(M, tol=0.1)
    assert 0.9 * exact < loose < exact
    assert abs(spectral_norm(M, tol=1e-10) / exact - 1) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_tensors_of_every_precision(dtype) -> None:
    torch.manual_seed(0)
    for shape in ((20, 30), (150, 120)):
        M = (0.02 * torch.randn(shape)).to(dtype)
        M.requires_grad_()
        exact = np.linalg.norm(M.detach().double().numpy(), 2)
        assert spectral_norm(M) == pytest.approx(exact, rel=1e-6)
        low_rank = (torch.ones(shape, dtype=dtype) * 3e-5).to(dtype)
        assert spectral_norm(low_rank) == pytest.approx(
            float(low_rank[0, 0]) * (shape[0] * shape[1]) ** 0.5, rel=1e-6
        )


def test_scaling_a_matrix_scales_its_norm() -> None:
    M = MATRICES["wide"]
    for factor in (1e-38, -2.0, 1e30):
        assert spectral_norm(factor * M) == pytest.approx(abs(factor) * spectral_norm(M), rel=1e-9)
    assert spectral_norm(M.T) == pytest.approx(spectral_norm(M), rel=1e-9)
    assert spectral_norm(M.tolist()) == spectral_norm(M)


def test_the_norm_does_not_read_torch_s_random_numbers() -> None:
    state = torch.random.get_rng_state()
    spectral_norm(MATRICES["square"])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.full((3, 3), np.nan), "matrix has NaN or infinite entries"),
        (torch.tensor([[1.0, math.inf], [0.0, 1.0]]), "matrix has NaN or infinite"),
        (np.where(np.eye(200) > 0, np.nan, 1.0), "NaN"),
        (np.ones(3), r"matrix has shape \(3,\); expected two dimensions or more"),
        (3.0, r"matrix has shape \(\)"),
        (np.ones((2, 2), dtype=complex), "matrix is complex"),
    ],
)
def test_matrices_without_a_norm(matrix, words) -> None:
    with pytest.raises(InputError, match=words):
        spectral_norm(matrix)


def test_a_tolerance_above_zero() -> None:
    with pytest.raises(InputError, match="tol must be above 0; got 0"):
        spectral_norm(np.eye(3), tol=0)


def explicit(module: nn.Module, channels: int, size: tuple[int, ...]) -> np.ndarray:
    """The matrix of a linear map without its bias, from its action on each unit vector."""
    basis = torch.eye(channels * math.prod(size), dtype=torch.float64).reshape(-1, channels, *size)
    with torch.no_grad():
        outputs = module(basis) - module(torch.zeros_like(basis))
    return outputs.flatten(1).T.numpy()


CONVOLUTIONS = {
    "circular": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (6, 5)),
    "circular, kernel as large as the grid": (
        nn.Conv1d(3, 2, 5, padding=2, padding_mode="circular"),
        (5,),
    ),
    "circular, in groups": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", groups=2), (5, 5)),
    "circular, depthwise": (nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular", groups=4), (8,)),
    "circular, same": (nn.Conv1d(2, 3, 4, padding="same", padding_mode="circular"), (7,)),
    "circular, padded for another size": (nn.Conv1d(2, 3, 3, padding=2, padding_mode="circular"), (8,)),
    "zeros": (nn.Conv2d(3, 4, 3, padding=1), (6, 5)),
    "no padding": (nn.Conv2d(3, 4, (3, 2)), (6, 5)),
    "reflected": (nn.Conv1d(3, 2, 3, padding=1, padding_mode="reflect"), (6,)),
    "strided": (nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), (6, 6)),
    "dilated": (nn.Conv1d(3, 4, 3, dilation=2), (9,)),
    "strided, in groups": (nn.Conv2d(4, 4, 3, stride=2, groups=4), (7, 7)),
    "three dimensions": (nn.Conv3d(2, 2, 2), (3, 3, 4)),
    "transposed": (nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1), (4, 3)),
    "transposed, in groups": (nn.ConvTranspose1d(4, 6, 3, groups=2), (6,)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_norm_of_a_convolution_is_that_of_its_matrix(name) -> None:
    module, size = CONVOLUTIONS[name]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in module.parameters():
            one.normal_(0, 1, generator=generator)
    exact = np.linalg.norm(explicit(module.double(), module.in_channels, size), 2)
    assert operator_norm(module, size) == pytest.approx(exact, rel=1e-6)
    assert all(one.grad is None for one in module.parameters())


def test_a_single_precision_convolution() -> None:
    torch.manual_seed(0)
    module = nn.Conv2d(3, 4, 3, padding=1)
    value = operator_norm(module, 6)
    exact = np.linalg.norm(explicit(module.double(), 3, (6, 6)), 2)
    assert value == pytest.approx(exact, rel=1e-6)


def test_the_norm_on_a_large_grid() -> None:
    """Without a size: above every zero-padded grid, and approached by them."""
    torch.manual_seed(0)
    module = nn.Conv1d(2, 2, 3, padding=1).double()
    limit = operator_norm(module)
    values = [operator_norm(module, n) for n in (4, 16, 64)]
    assert values[0] < values[1] < values[2] <= limit * (1 + 1e-3)
    assert values[2] == pytest.approx(limit, rel=0.01)


def test_the_kernel_as_a_matrix_bounds_the_convolution() -> None:
    torch.manual_seed(0)
    module = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
    reshaped = spectral_norm(module.weight)
    assert reshaped <= operator_norm(module, 8) <= 3 * reshaped


def test_a_dense_layer() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(7, 5)
    assert operator_norm(layer) == pytest.approx(np.linalg.norm(layer.weight.detach().numpy(), 2), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: operator_norm(nn.ReLU()), "module is a ReLU"),
        (lambda: operator_norm(nn.Conv2d(2, 2, 3, stride=2)), "depends on its input; expected input_size"),
        (lambda: operator_norm(nn.Conv2d(2, 2, 3), (3,)), "input_size is .*; expected 2 whole numbers"),
        (lambda: operator_norm(nn.Conv2d(2, 2, 3), (0, 4)), "input_size is"),
        (lambda: operator_norm(nn.Conv2d(2, 2, 3), 2), "does not take an input of size"),
        (
            lambda: operator_norm(
                nn.utils.skip_init(nn.Conv1d, 1, 1, 1).requires_grad_(False).apply(fill_with_nan)
            ),
            "the weight has NaN",
        ),
    ],
)
def test_layers_without_a_norm(call, words) -> None:
    with pytest.raises(InputError, match=words):
        call()


def fill_with_nan(module: nn.Module) -> None:
    for one in module.parameters():
        one.fill_(math.nan)


def test_the_transposed_convolution_without_a_size() -> None:
    """The large periodic grid is for the map itself, also where the weight stores (inputs, outputs / groups)."""
    torch.manual_seed(0)
    for groups in (1, 2):
        module = nn.ConvTranspose1d(4, 6, 3, groups=groups, bias=False).double()
        assert operator_norm(module) == pytest.approx(operator_norm(module, 64), rel=0.01)


def test_power_steps_are_lower_bounds_that_grow() -> None:
    torch.manual_seed(0)
    M = torch.randn(3, 30, 20, dtype=torch.float64)
    exact = torch.linalg.matrix_norm(M, 2)
    v = torch.nn.functional.normalize(torch.randn(3, 20, dtype=torch.float64), dim=1)
    previous: Tensor = torch.zeros(3)
    for steps in (1, 3, 10, 200):
        norms, right = power_steps(M, v, steps)
        assert (norms >= previous - 1e-12).all()
        assert (norms <= exact * (1 + 1e-12)).all()
        torch.testing.assert_close(right.norm(dim=1), torch.ones(3, dtype=torch.float64))
        previous = norms
    torch.testing.assert_close(previous, exact, rtol=1e-4, atol=0)
    # Of a matrix of rank one, one step is exact; of zeros, the norm is zero.
    rank_one = torch.randn(1, 30, 1) * torch.randn(1, 1, 20)
    norms, _ = power_steps(rank_one, torch.full((1, 20), 20**-0.5), 1)
    assert norms.item() == pytest.approx(torch.linalg.matrix_norm(rank_one[0], 2).item(), rel=1e-5)
    norms, right = power_steps(torch.zeros(1, 30, 20), torch.full((1, 20), 20**-0.5), 2)
    assert norms.item() == 0
    # From there, the next matrix that is not zero is measured none the less.
    norms, _ = power_steps(rank_one, right, 1)
    assert norms.item() == pytest.approx(torch.linalg.matrix_norm(rank_one[0], 2).item(), rel=1e-5)
