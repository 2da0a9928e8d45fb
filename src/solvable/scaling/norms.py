r"""Largest singular values: of matrices by Lanczos, of convolutions exactly, and of many matrices at once for the
Monitor."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from solvable.checks import one_number
from solvable.errors import InputError

# Below this size, LAPACK's decomposition takes less time than the iterations.
_SMALL = 96
_MOST_STEPS = 300


def spectral_norm(matrix: Any, *, tol: float = 1e-6, return_vectors: bool = False) -> Any:
    r"""Return the largest singular value $\|M\|_*$ of a matrix.

    Small matrices are decomposed; larger ones go through Golub and Kahan's bidiagonalisation with full
    reorthogonalisation, which stops when the residual of the singular pair is below `tol` of the norm, or when the
    Krylov space is exhausted: a matrix of rank r takes r + 1 steps. The value is a lower bound, off by about the
    *square* of the residual divided by the gap to the next singular value.

    Args:
        matrix: `(m, n)`, a tensor (any device, half precision too) or an array. Tensors of more dimensions are taken as
            `(m, rest)`.
        tol: largest residual, relative to the norm.
        return_vectors: whether to return the singular vectors too.

    Returns:
        a float; with `return_vectors`, `(norm, left, right)` with unit vectors of m and n numbers (zeros if the norm is
        0).

    Raises:
        InputError: for fewer than two dimensions, complex numbers, NaN or infinity.

    >>> import numpy as np
    >>> spectral_norm(np.diag([3.0, 1.0]))
    3.0
    """
    M = _as_matrix(matrix)
    tol = one_number("tol", tol, above=0)
    if M.numel() == 0 or (largest := float(M.abs().max())) == 0:
        value, left, right = 0.0, M.new_zeros(M.shape[0]), M.new_zeros(M.shape[1])
    else:
        if not np.isfinite(largest):
            raise InputError("matrix has NaN or infinite entries; expected finite numbers")
        M = M / largest  # entries of 1e-30 would underflow in products
        if min(M.shape) <= _SMALL:
            U, S, Vh = torch.linalg.svd(M, full_matrices=False)
            value, left, right = float(S[0]), U[:, 0], Vh[0]
        else:
            value, left, right = _bidiagonalize(
                lambda v: M @ v, lambda u: M.T @ u, M.new_empty(M.shape[1]), tol
            )
        value *= largest
    return (value, left, right) if return_vectors else value


def operator_norm(module: nn.Module, input_size: int | tuple[int, ...] | None = None) -> float:
    r"""Return the largest factor $\|W x\|_2/\|x\|_2$ by which a linear layer stretches an input, without its bias.

    Of a dense layer this is `spectral_norm` of its weight. A convolution's kernel as a matrix has a *smaller* norm than
    the convolution. With periodic padding and stride 1 it is the largest over the frequencies of the kernel's Fourier
    transform, exactly; with any other padding or stride it is found by Lanczos iterations on the layer itself.

    Args:
        module: `nn.Linear`, a convolution or a transposed convolution.
        input_size: height and width of a convolution's input (one number: all equal). By default that of a large input,
            on a periodic grid, which needs stride 1.

    Raises:
        InputError: for another kind of module, or sizes that do not fit it.

    Source: Sedghi, Gupta and Long, The singular values of convolutional layers, 2018, arXiv:1805.10408.

    >>> layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")
    >>> _ = nn.init.constant_(layer.weight, 1.0)
    >>> round(operator_norm(layer, 16), 6)
    3.0
    """
    if isinstance(module, nn.Linear):
        return spectral_norm(module.weight)
    convolution: Any = module
    if not isinstance(module, nn.modules.conv._ConvNd):
        raise InputError(f"module is a {type(module).__name__}; expected nn.Linear or a convolution")
    if "weight" not in module._parameters:
        raise InputError(
            f"the weight of this {type(module).__name__} comes from a parametrization; expected a plain parameter; "
            "remove the parametrization first (torch.nn.utils.parametrize.remove_parametrizations)"
        )
    weight, dims = convolution.weight.detach(), convolution.weight.ndim - 2
    if not bool(torch.isfinite(weight).all()):
        raise InputError("the weight has NaN or infinite entries; expected finite numbers")
    simple = all(one == 1 for one in convolution.stride) and all(one == 1 for one in convolution.dilation)
    if input_size is None:
        if not simple:
            raise InputError(
                "the norm of a convolution with stride or dilation depends on its input; expected input_size, as in "
                "(32, 32)"
            )
        return _periodic(weight, convolution.groups, tuple(max(32, 4 * k) for k in weight.shape[2:]))
    size = (input_size,) * dims if isinstance(input_size, int) else tuple(input_size)
    if len(size) != dims or any(not isinstance(one, int) or one < 1 for one in size):
        raise InputError(f"input_size is {input_size!r}; expected {dims} whole numbers, as in {(32,) * dims}")
    same = isinstance(convolution.padding, str) and convolution.padding == "same"
    keeps_size = same or all(
        2 * p == k - 1 for p, k in zip(convolution.padding, weight.shape[2:], strict=True)
    )
    if simple and convolution.padding_mode == "circular" and keeps_size and not convolution.transposed:
        return _periodic(weight, convolution.groups, size)
    return _of_linear_map(convolution, (1, convolution.in_channels, *size))


def _periodic(weight: Tensor, groups: int, size: tuple[int, ...]) -> float:
    """Return the norm of a convolution on a periodic grid: the largest over groups and frequencies."""
    if any(one < k for one, k in zip(size, weight.shape[2:], strict=True)):
        # A kernel that is larger than the grid meets some inputs twice.
        wrapped = weight.new_zeros(*weight.shape[:2], *size)
        for position in np.ndindex(*weight.shape[2:]):
            at = tuple(p % s for p, s in zip(position, size, strict=True))
            wrapped[(slice(None), slice(None), *at)] += weight[(slice(None), slice(None), *position)]
        weight = wrapped
    spectrum = torch.fft.rfftn(weight.double(), s=size, dim=tuple(range(2, weight.ndim)))
    frequencies = spectrum.flatten(2).movedim(-1, 0)
    blocks = frequencies.reshape(len(frequencies) * groups, -1, weight.shape[1])
    return float(torch.linalg.matrix_norm(blocks, ord=2).max())


def _of_linear_map(module: nn.Module, shape: tuple[int, ...]) -> float:
    """Return the norm of a module without its bias, from products with it and with its transpose."""
    parameters = dict(module.named_parameters())
    weight = parameters["weight"].detach().double()
    values = {"weight": weight} | (
        {"bias": weight.new_zeros(parameters["bias"].shape)} if "bias" in parameters else {}
    )

    def forward(x: Tensor) -> Tensor:
        return torch.func.functional_call(module, values, (x.reshape(shape),))

    zero = weight.new_zeros(prod(shape))
    try:
        transposed = torch.func.vjp(forward, zero)[1]
    except RuntimeError as problem:
        raise InputError(f"the layer does not take an input of size {shape[2:]}: {problem}") from None
    value, _, _ = _bidiagonalize(
        lambda v: forward(v).flatten(), lambda u: transposed(u.reshape(forward(zero).shape))[0], zero, 1e-5
    )
    return value


def _bidiagonalize(
    multiply: Callable[[Tensor], Tensor], multiply_t: Callable[[Tensor], Tensor], like: Tensor, tol: float
) -> tuple[float, Tensor, Tensor]:
    """Return the largest singular value and its vectors by Golub and Kahan's method."""
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(len(like), generator=generator, dtype=torch.float64).to(like)
    v /= v.norm()
    u = multiply(v)
    alpha = float(u.norm())
    if alpha == 0:
        return 0.0, torch.zeros_like(u), torch.zeros_like(v)
    u = u / alpha
    U, V, alphas, betas = [u], [v], [alpha], []
    tiny = float(torch.finfo(like.dtype).eps) ** 0.5
    while True:
        v = multiply_t(u) - alphas[-1] * v
        v = _without(v, V)
        beta = float(v.norm())
        B = np.diag(alphas) + np.diag(betas, 1)
        P, S, Qt = np.linalg.svd(B)
        # A remainder of rounding errors, if normalised, would bring wrong directions in.
        done = beta <= tiny * S[0] or beta * abs(P[-1, 0]) <= tol * S[0]
        if done or len(V) >= min(_MOST_STEPS, len(like), len(u)):
            break
        v = v / beta
        u = _without(multiply(v) - beta * u, U)
        alpha = float(u.norm())
        if alpha <= tiny * S[0]:
            B = np.hstack([B, np.zeros((len(B), 1))])
            B[-1, -1] = beta
            P, S, Qt = np.linalg.svd(B)
            V.append(v)
            break
        u = u / alpha
        U.append(u)
        V.append(v)
        alphas.append(alpha)
        betas.append(beta)
    left = torch.stack(U, 1) @ torch.as_tensor(P[:, 0].copy()).to(like)
    right = torch.stack(V, 1) @ torch.as_tensor(Qt[0].copy()).to(like)
    return float(S[0]), left, right


def _without(vector: Tensor, basis: list[Tensor]) -> Tensor:
    """Return a vector minus its part in an orthonormal basis, taken off twice against rounding."""
    Q = torch.stack(basis, 1)
    for _ in range(2):
        vector = vector - Q @ (Q.T @ vector)
    return vector


def _as_matrix(matrix: Any) -> Tensor:
    try:
        M = matrix.detach() if isinstance(matrix, Tensor) else torch.as_tensor(np.asarray(matrix))
    except (TypeError, ValueError):
        raise InputError(
            f"matrix is a {type(matrix).__name__}; expected a tensor or an array of numbers"
        ) from None
    if M.ndim < 2:
        raise InputError(f"matrix has shape {tuple(M.shape)}; expected two dimensions or more")
    if M.is_complex():
        raise InputError("matrix is complex; expected real numbers")
    # Apple's GPUs have no double precision.
    return M.flatten(1).to(torch.float32 if M.device.type == "mps" else torch.float64)


def power_steps(M: Tensor, v: Tensor | None, steps: int) -> tuple[Tensor, Tensor]:
    """Return the norms of a stack of matrices after some steps of the power method, and the vectors to start from next.

    Args:
        M: `(count, m, n)`.
        v: `(count, n)`, unit vectors that the last call returned, or zeros; None for a first call.
        steps: number of steps; the norms are lower bounds.
    """
    M = M if M.dtype in (torch.float32, torch.float64) else M.float()
    norms, tiny = None, torch.finfo(M.dtype).tiny
    if v is None:
        # The row of the largest norm is nearest to the first singular vector.
        longest = M[torch.arange(len(M), device=M.device), torch.linalg.vector_norm(M, dim=2).argmax(dim=1)]
        start = longest / torch.linalg.vector_norm(longest, dim=1, keepdim=True).clamp_min(tiny)
    else:
        start = v.to(M.dtype)
    # A matrix may be orthogonal to the vector of the last one, or that one was 0: some noise is never orthogonal.
    noise = torch.randn(M.shape[-1], generator=torch.Generator().manual_seed(0)).to(M)
    right = (start + 0.01 / torch.linalg.vector_norm(noise) * noise).unsqueeze(-1)
    for _ in range(steps):
        left = M @ right
        left = left / torch.linalg.vector_norm(left, dim=1, keepdim=True).clamp_min(tiny)
        right = M.mT @ left
        norms = torch.linalg.vector_norm(right, dim=1, keepdim=True)
        right = right / norms.clamp_min(tiny)
    assert norms is not None
    return norms[:, 0, 0], right[..., 0]
