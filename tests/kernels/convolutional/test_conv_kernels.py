"""What users meet: networks of finite width, symmetries, arrays, threads, refusals."""

import pickle
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from solvable.errors import InputError
from solvable.kernels.convolutional import ConvNNGP, ConvNTK, schedule
from solvable.kernels.duals.closed_forms import GELU, ABReLU
from solvable.machine import blas_threads

torch = pytest.importorskip("torch")

GAP = "global_average"
RNG = np.random.default_rng(0)
IMAGES, OTHERS = RNG.standard_normal((5, 6, 4, 3)), RNG.standard_normal((3, 6, 4, 3))


def random_networks(
    X: Any, depth: int, width: int, n_nets: int, readout: str, generator: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean NNGP (products of outputs) and NTK (of raw gradients) of torch's layers of this width."""
    X = torch.as_tensor(X).permute(0, 3, 1, 2)
    nngp, ntk = np.zeros((len(X), len(X))), np.zeros((len(X), len(X)))
    for _ in range(n_nets):
        layers: list[Any] = []
        for layer in range(depth):
            layers += [
                torch.nn.Conv2d(X.shape[1] if layer == 0 else width, width, 3, padding="same"),
                torch.nn.ReLU(),
            ]
        layers += (
            [torch.nn.Flatten()]
            if readout == "flatten"
            else [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        )
        layers.append(torch.nn.Linear(width * (X[0, 0].numel() if readout == "flatten" else 1), 1))
        net = torch.nn.Sequential(*layers).double()
        for module in (m for m in net if hasattr(m, "weight")):
            fan_in = module.weight[0].numel()
            std = 1.0 if isinstance(module, torch.nn.Linear) else 2**0.5
            module.weight.data = (
                torch.randn(module.weight.shape, generator=generator).double() * std / fan_in**0.5
            )
            module.bias.data = torch.randn(module.bias.shape, generator=generator).double() * 0.1
        outputs = net(X)[:, 0]
        J = torch.stack(
            [
                torch.cat([g.ravel() for g in torch.autograd.grad(f, net.parameters(), retain_graph=True)])
                for f in outputs
            ]
        )
        # The readout's mean over its own weights is taken exactly.
        h = net[:-1](X).detach()
        nngp += (h @ h.T / h.shape[1] + 0.01).numpy() / n_nets
        ntk += (J @ J.T).numpy() / n_nets
    return nngp, ntk


@pytest.mark.parametrize("readout", ["flatten", GAP])
def test_wide_random_networks_have_these_kernels(readout: str) -> None:
    X = RNG.standard_normal((3, 4, 4, 2))
    width, n_nets = 128, 16
    nngp, ntk = random_networks(X, 2, width, n_nets, readout, torch.Generator().manual_seed(0))
    numbers = {"b_std": 0.1, "readout_b_std": 0.1, "readout": readout}
    for measured, kernel in (
        (nngp, ConvNNGP(2, **numbers)),
        (ntk, ConvNTK(2, **numbers, parametrization="standard", widths=width)),
    ):
        predicted = kernel(X)
        assert np.abs(measured - predicted).max() < 0.06 * predicted.max()


@pytest.mark.parametrize(
    "kernel", [ConvNTK(2, readout=GAP, padding="CIRCULAR"), ConvNNGP(2, "gelu", readout=GAP)]
)
def test_symmetries(kernel: Any) -> None:
    K = kernel(IMAGES)
    assert np.array_equal(K, K.T)
    order = RNG.permutation(len(IMAGES))
    np.testing.assert_allclose(kernel(IMAGES[order]), K[np.ix_(order, order)], rtol=1e-13)
    np.testing.assert_allclose(kernel(IMAGES[:, ::-1, ::-1]), K, rtol=1e-13)
    if kernel.padding == "CIRCULAR":
        np.testing.assert_allclose(
            kernel(np.roll(IMAGES, (2, 1), axis=(1, 2)), OTHERS), kernel(IMAGES, OTHERS), rtol=1e-13
        )


@pytest.mark.parametrize("readout", ["flatten", GAP])
@pytest.mark.parametrize("pool_after", [(), (1,)])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_large_and_small_tiles_agree(
    readout: str, pool_after: tuple[int, ...], activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = ConvNTK(2, activation, b_std=(0.1, 0.2), readout=readout, pool_after=pool_after)
    K, R, d = kernel(IMAGES), kernel(IMAGES, OTHERS), kernel.diag(IMAGES)
    assert np.linalg.eigvalsh(K).min() > 0
    np.testing.assert_allclose(d, K.diagonal(), rtol=1e-13)
    np.testing.assert_allclose(kernel(IMAGES, IMAGES.copy()), K, rtol=1e-12)
    monkeypatch.setattr(schedule, "_CPU_TILE", 1)
    for n_threads in (1, 2):
        monkeypatch.setattr(schedule, "blas_threads", lambda n=n_threads: n)
        np.testing.assert_allclose(kernel(IMAGES), K, rtol=1e-13)
        np.testing.assert_allclose(kernel(IMAGES, OTHERS), R, rtol=1e-13)
        np.testing.assert_allclose(kernel.diag(IMAGES), d, rtol=1e-13)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_CPU_TILE", 200)
    kernel = ConvNTK(2, readout=GAP)
    results = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            assert blas_threads() == n_threads
            results.append(kernel(IMAGES))
    assert np.array_equal(*results)


@pytest.mark.parametrize("activation", ["relu", "leaky relu", "gelu", "erf", "sin", ("relu", "gelu")])
@pytest.mark.parametrize("readout", ["flatten", GAP])
@pytest.mark.parametrize("pool_after", [(), (1,)])
def test_tensors(activation: Any, readout: str, pool_after: tuple[int, ...]) -> None:
    kernel = ConvNTK(2, activation, readout=readout, pool_after=pool_after)
    X, Z = torch.as_tensor(IMAGES), torch.as_tensor(OTHERS)
    for got, want in (
        (kernel(X), kernel(IMAGES)),
        (kernel(X, Z), kernel(IMAGES, OTHERS)),
        (kernel.diag(X), kernel.diag(IMAGES)),
    ):
        assert torch.is_tensor(got)
        assert got.dtype == torch.float64
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)
    for single in (X.float(), IMAGES.astype(np.float32)):
        got = kernel(single)
        assert "float32" in str(got.dtype)
        np.testing.assert_allclose(np.asarray(got), kernel(IMAGES), rtol=3e-5)


def test_identical_images_are_identical_in_single_precision() -> None:
    X = np.repeat(IMAGES[:1], 2, axis=0).astype(np.float32)
    K = ConvNTK(5)(X)
    np.testing.assert_allclose(K, K[0, 0], rtol=3e-7)


@pytest.mark.parametrize("activation", ["relu", "gelu", "erf"])
@pytest.mark.parametrize("readout", ["flatten", GAP])
@pytest.mark.parametrize("pool_after", [(), (1,)])
def test_images_of_zeros(activation: str, readout: str, pool_after: tuple[int, ...]) -> None:
    X = IMAGES.copy()
    X[1] = 0.0
    X[2, :3] = 0.0
    K = ConvNTK(2, activation, readout=readout, pool_after=pool_after)(X)
    assert np.isfinite(K).all()
    assert np.abs(K[1]).max() < 1e-15


def test_pooling_keeps_identical_images_identical() -> None:
    X = np.concatenate([IMAGES, IMAGES + 1e-9])
    K = ConvNTK(3, pool_after=(1,), readout=GAP)(X)
    np.testing.assert_allclose(K[:5, 5:].diagonal(), K.diagonal()[:5], rtol=1e-7)


def test_out_and_progress(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out = np.memmap(tmp_path / "K", dtype=np.float64, mode="w+", shape=(5, 3))
    kernel = ConvNTK(1)
    assert kernel(IMAGES, OTHERS, out=out, progress=True) is out
    assert np.array_equal(out, kernel(IMAGES, OTHERS, progress=False))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "ConvNTK" in printed.err


def test_kernels_are_values() -> None:
    kernel = ConvNTK(2, "relu", b_std=[0.1, 0.2], padding="circular", pool_after=[2, 1], widths=3)
    same = ConvNTK(2, ABReLU(), b_std=(0.1, 0.2), padding="CIRCULAR", pool_after=(1, 2), widths=3)
    assert kernel == same == pickle.loads(pickle.dumps(kernel))
    assert hash(kernel) == hash(same)
    assert kernel != ConvNTK(2, GELU())


def test_cost() -> None:
    cost = ConvNTK(3, readout=GAP).cost(np.ones((100, 8, 8, 3)))
    assert cost.flops == pytest.approx(5050 * 64**2 * 3 * 87)
    assert 0.1 < cost.seconds < 100
    assert "operations" in str(cost)


def refusal(make: Any) -> str:
    with pytest.raises(InputError) as error:
        make()
    return str(error.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: ConvNTK(1)(np.ones((4, 192))),
            "expected (images, height, width, channels); reshape flat images",
        ),
        (lambda: ConvNTK(1)(np.ones((4, 3, 32, 32))), "looks like (images, channels, height, width)"),
        (lambda: ConvNTK(1)(np.ones((4, 8, 8))), "X[..., None]"),
        (lambda: ConvNTK(1)(np.ones((0, 8, 8, 3))), "none of them 0"),
        (lambda: ConvNTK(1)(np.full((2, 8, 8, 3), np.nan)), "NaN or infinite"),
        (lambda: ConvNTK(1)(IMAGES * 1j), "real numbers"),
        (lambda: ConvNTK(1)(IMAGES, IMAGES[:, :5]), "expected the same height"),
        (lambda: ConvNTK(1)(IMAGES, torch.as_tensor(IMAGES)), "different array libraries"),
        (lambda: ConvNTK(1)(IMAGES, IMAGES.astype(np.float32)), "dtype"),
        (lambda: ConvNTK(2, padding="VALID")(IMAGES), "width 4, of which 2 pixels remain before layer 2"),
        (lambda: ConvNTK(3, pool_after=(1, 2, 3))(IMAGES), "fewer than its pooling window of 2"),
        (lambda: ConvNTK(1)(IMAGES, out=np.ones((2, 2))), "expected an array of shape (5, 5)"),
        (lambda: ConvNTK(2, pool_after=3), "pool_after names layer 3"),
        (lambda: ConvNTK(2, w_std=(1.0,)), "w_std has 1 values; expected one, or one for each of the 2"),
        (lambda: ConvNTK(2, padding="same-ish"), "unknown padding"),
        (lambda: ConvNTK(2, readout="gap"), "unknown readout"),
        (lambda: ConvNTK(2, parametrization="standard"), "widths is None; expected the width"),
        (lambda: ConvNTK(0), "depth"),
        (lambda: ConvNTK(1, filter_size=0), "filter_size"),
        (lambda: ConvNNGP(1, w_std=-1.0), "w_std"),
    ],
)
def test_refusals(make: Any, words: str) -> None:
    assert words in refusal(make)
