"""Losses against loops over their formulas, closed gradients, known minima and limits; tests/peers has lightly."""

from functools import partial
from math import log

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from torch import Tensor

from solvable.errors import InputError
from solvable.stepwise import losses
from solvable.stepwise.trivial_losses import nothing_learned

NAMES = [name for name in losses.__all__ if name[0].islower() and not name.endswith("_terms")]
OPTIONS = {
    "barlow_twins": [
        {},
        {"normalize": False},
        {"off_diagonal_weight": 1.0, "normalize": False, "center": False},
    ],
    "vicreg": [{}, {"invariance": 2.0, "variance": 3.0, "covariance": 5.0, "eps": 0.01}],
    "squared_vicreg": [{}, {"invariance": 0.5, "center": False}],
    "info_nce": [{}, {"temperature": 0.7, "cosine": False}],
    "nt_xent": [{}, {"temperature": 0.1}],
    "clip": [{}, {"temperature": 0.5}],
    "spectral_contrastive": [{}],
}
CASES = [(name, options) for name in NAMES for options in OPTIONS[name]]
SHAPES = [(7, 3), (3, 6), (2, 1)]


def pair(shape: tuple[int, int], seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    common, *own = rng.normal(size=(3, *shape))
    z_a, z_b = (torch.from_numpy(scale * (common + 0.7 * one) + 0.3) for one in own)
    return z_a, z_b


def evaluate(name: str, z_a: Tensor, z_b: Tensor, **options) -> Tensor:
    return getattr(losses, name)(z_a, z_b, **options)


def loop_barlow_twins(a, b, off_diagonal_weight=0.0051, normalize=True, center=True) -> float:
    B, d = a.shape
    if normalize:
        a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (a, b))
    elif center:
        mean = np.concatenate([a, b]).mean(0)
        a, b = a - mean, b - mean
    total = 0.0
    for i in range(d):
        for j in range(d):
            c = sum(a[n, i] * b[n, j] for n in range(B)) / B
            if not normalize:
                c = (c + sum(b[n, i] * a[n, j] for n in range(B)) / B) / 2
            total += (c - 1) ** 2 if i == j else off_diagonal_weight * c**2
    return total


def loop_vicreg(a, b, invariance=25.0, variance=25.0, covariance=1.0, eps=1e-4) -> float:
    d = a.shape[1]
    total = invariance * np.mean((a - b) ** 2)
    for z in (a, b):
        S = np.atleast_2d(np.cov(z, rowvar=False))
        for i in range(d):
            total += variance / 2 * max(0.0, 1 - np.sqrt(S[i, i] + eps)) / d
            total += sum(covariance * S[i, j] ** 2 / d for j in range(d) if j != i)
    return total


def loop_squared_vicreg(a, b, invariance=2.0, center=True) -> float:
    both = np.concatenate([a, b])
    Sigma = np.atleast_2d(np.cov(both, rowvar=False, bias=True)) if center else both.T @ both / len(both)
    distances = [np.sum((x - y) ** 2) for x, y in zip(a, b, strict=True)]
    return np.sum((Sigma - np.eye(len(Sigma))) ** 2) + invariance / 2 * np.mean(distances)


def cosines(z) -> np.ndarray:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def loop_info_nce(a, b, temperature=0.1, cosine=True) -> float:
    if cosine:
        a, b = cosines(a), cosines(b)
    terms = []
    for i in range(len(a)):
        weights = [np.exp(a[i] @ other / temperature) for other in b]
        terms.append(-np.log(weights[i] / sum(weights)))
    return np.mean(terms)


def loop_nt_xent(a, b, temperature=0.5) -> float:
    z, terms = cosines(np.concatenate([a, b])), []
    for i in range(len(z)):
        weights = {j: np.exp(z[i] @ z[j] / temperature) for j in range(len(z)) if j != i}
        terms.append(-np.log(weights[(i + len(a)) % len(z)] / sum(weights.values())))
    return np.mean(terms)


def loop_clip(a, b, temperature=0.07) -> float:
    return (loop_info_nce(a, b, temperature) + loop_info_nce(b, a, temperature)) / 2


def loop_spectral_contrastive(a, b) -> float:
    B = len(a)
    others = [(a[i] @ b[j]) ** 2 for i in range(B) for j in range(B) if i != j]
    return -2 * np.mean([x @ y for x, y in zip(a, b, strict=True)]) + np.mean(others)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_losses_are_their_formulas(name, options, shape) -> None:
    z_a, z_b = pair(shape)
    expected = globals()[f"loop_{name}"](z_a.numpy(), z_b.numpy(), **options)
    assert evaluate(name, z_a, z_b, **options).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients_are_those_of_finite_differences(name, options, shape) -> None:
    views = [z.requires_grad_() for z in pair(shape, seed=1)]
    assert torch.autograd.gradcheck(partial(evaluate, name, **options), views)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_terms_add_up_and_each_is_what_its_name_says(name, options) -> None:
    z_a, z_b = pair((7, 3))
    terms = getattr(losses, f"{name}_terms")(z_a, z_b, **options)
    torch.testing.assert_close(sum(terms), evaluate(name, z_a, z_b, **options), rtol=1e-14, atol=1e-14)
    if hasattr(terms, "alignment"):
        T = options.get("temperature", {"info_nce": 0.1, "nt_xent": 0.5, "clip": 0.07}.get(name))
        a, b = (z if options.get("cosine") is False else z / z.norm(dim=1, keepdim=True) for z in (z_a, z_b))
        expected = -2 * (z_a * z_b).sum() / 7 if T is None else (a - b).square().sum() / (2 * T * 7)
        torch.testing.assert_close(terms.alignment, expected)
    elif name != "barlow_twins":
        weight = options.get("invariance", 25.0 if name == "vicreg" else 2.0)
        torch.testing.assert_close(
            terms.invariance,
            weight * (z_a - z_b).square().sum() / (7 * 3 if name == "vicreg" else 2 * 7),
        )
    else:
        weight = 2 * options.get("off_diagonal_weight", 0.0051)
        double = losses.barlow_twins_terms(z_a, z_b, **{**options, "off_diagonal_weight": weight})
        torch.testing.assert_close(double.redundancy, 2 * terms.redundancy)
        torch.testing.assert_close(double.invariance, terms.invariance)


def test_terms_of_vicreg_follow_their_weights() -> None:
    z_a, z_b = pair((7, 3), scale=0.1)
    terms = losses.vicreg_terms(z_a, z_b, 1.0, 1.0, 1.0)
    assert min(terms) > 0
    weighted = losses.vicreg_terms(z_a, z_b, 2.0, 3.0, 5.0)
    torch.testing.assert_close(torch.stack(weighted), torch.stack(terms) * torch.tensor([2.0, 3.0, 5.0]))


@pytest.mark.parametrize("center", [False, True])
def test_closed_gradient_of_a_linear_model(center) -> None:
    r"""$dL/dW = 4 (W \Gamma W^T - 1) W \Gamma$ for $\lambda = 1$, with $\Gamma$ of the inputs."""
    X, X2 = pair((20, 8))
    W = torch.from_numpy(np.random.default_rng(2).normal(size=(3, 8))).requires_grad_()
    losses.barlow_twins(X @ W.T, X2 @ W.T, 1.0, normalize=False, center=center).backward()
    mean = torch.cat([X, X2]).mean(0) if center else 0.0
    Gamma = ((X - mean).T @ (X2 - mean) + (X2 - mean).T @ (X - mean)) / 40
    V = W.detach()
    expected = 4 * (V @ Gamma @ V.T - torch.eye(3)) @ V @ Gamma
    assert W.grad is not None
    assert (W.grad - expected).norm() <= 1e-12 * expected.norm()


@pytest.mark.parametrize("center", [False, True])
def test_squared_vicreg_of_a_linear_model(center) -> None:
    r"""$\|W \Sigma W^T - 1\|_F^2 + k\,tr(W (\Sigma - \Gamma) W^T)$, the form whose dynamics are solvable."""
    X, X2 = pair((20, 8))
    W = torch.from_numpy(np.random.default_rng(2).normal(size=(3, 8)))
    value = losses.squared_vicreg(X @ W.T, X2 @ W.T, 3.0, center=center)
    mean = torch.cat([X, X2]).mean(0) if center else 0.0
    A, B = X - mean, X2 - mean
    Gamma, Sigma = (A.T @ B + B.T @ A) / 40, (A.T @ A + B.T @ B) / 40
    expected = (W @ Sigma @ W.T - torch.eye(3)).square().sum() + 3 * (W @ (Sigma - Gamma) @ W.T).trace()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_growth_from_small_weights_is_set_by_the_cross_correlation() -> None:
    r"""InfoNCE of a small linear model: $-dL/dW = (2/T)\,W\,\Gamma$ with the covariance $\Gamma$ of the views."""
    X, X2 = pair((20, 8))
    W = 1e-5 * torch.from_numpy(np.random.default_rng(2).normal(size=(3, 8)))
    W.requires_grad_()
    losses.info_nce(X @ W.T, X2 @ W.T, temperature=0.3, cosine=False).backward()
    A, B = X - X.mean(0), X2 - X2.mean(0)
    expected = -2 / 0.3 * W.detach() @ (A.T @ B + B.T @ A) / 40
    assert W.grad is not None
    assert (W.grad - expected).norm() <= 1e-6 * expected.norm()


def test_unweighted_losses_do_not_change_under_rotations() -> None:
    z_a, z_b = pair((20, 4))
    Q = torch.from_numpy(np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0])
    for loss in (
        partial(losses.barlow_twins, off_diagonal_weight=1.0, normalize=False),
        losses.squared_vicreg,
    ):
        torch.testing.assert_close(loss(z_a @ Q, z_b @ Q), loss(z_a, z_b), rtol=1e-12, atol=0)


@pytest.mark.parametrize("k", [1, 2, 5, 8])
@pytest.mark.parametrize("weight", [0.02, 1.0])
def test_embeddings_of_rank_k_are_at_the_plateau(k, weight) -> None:
    r"""k directions, spread evenly over d = 8 features, with views that are equal.

    Normalised, the loss is $\lambda d (d-k)/k$. Without, the best scale gives
    $\lambda d (d-k)/(k + \lambda (d-k))$, and no embedding of this rank is better.
    """
    d, B = 8, 16
    samples = torch.from_numpy(hadamard(B)[:, 1 : 1 + k].astype(float))  # centred, uncorrelated
    z = samples @ torch.from_numpy(hadamard(d)[:k].astype(float)) / d**0.5
    scale = (d / (k + weight * (d - k))) ** 0.5
    plateau = weight * d * (d - k) / (k + weight * (d - k))
    value = losses.barlow_twins(scale * z, scale * z, weight, normalize=False)
    assert value.item() == pytest.approx(plateau, abs=1e-12)
    normalised = losses.barlow_twins(1e4 * z, 1e4 * z, weight)
    assert normalised.item() == pytest.approx(weight * d * (d - k) / k, abs=1e-9)

    W = torch.from_numpy(np.random.default_rng(k).normal(size=(k, d))).requires_grad_()
    optimizer = torch.optim.LBFGS([W], max_iter=300, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = losses.barlow_twins(samples @ W, samples @ W, weight, normalize=False)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() == pytest.approx(plateau, rel=1e-6, abs=1e-8)


def test_a_batch_smaller_than_the_width_has_a_floor() -> None:
    """With B rows at most B - 1 directions can be learned, even if both views are equal."""
    B, d = 5, 40
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(B, d)))
    least = 0.0051 * d * (d - B + 1) / (B - 1)
    assert least <= losses.barlow_twins(z, z).item() <= 3 * least


def test_identical_independent_features_have_the_floor_of_the_batch() -> None:
    r"""Sample correlations of size $1/\sqrt B$ leave about $\lambda d (d-1)/B$, with learning finished."""
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(512, 128)))
    terms = losses.barlow_twins_terms(z, z)
    assert terms.invariance < 1e-6
    # The sum over 8128 pairs has a relative spread of sqrt(2 / 8128), 1.6 %.
    assert terms.redundancy.item() == pytest.approx(0.0051 * 128 * 127 / 512, rel=0.06)


def test_digits_of_small_contrastive_losses() -> None:
    """The loss of pairs that are equal and orthogonal to all others, in single precision."""
    rng = np.random.default_rng(0)
    Q = torch.from_numpy(np.linalg.qr(rng.normal(size=(64, 64)))[0]).float()
    expected = np.log1p(63 * np.exp(-1 / 0.07))
    for loss in (losses.info_nce, losses.clip):
        assert loss(Q, Q, temperature=0.07).item() == pytest.approx(expected, abs=2e-7)
    assert losses.info_nce(100 * Q, 100 * Q, 1.0, cosine=False).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.75])
@pytest.mark.parametrize("name", NAMES)
def test_value_when_nothing_is_learned(name, value) -> None:
    """All embeddings equal, which the default of every loss but the spectral one does not tell from zeros."""
    z = torch.full((6, 5), value, requires_grad=True)
    loss = evaluate(name, z, z)
    if name != "spectral_contrastive" or value == 0:
        assert loss.item() == pytest.approx(nothing_learned(name, dim=5, batch_size=6), rel=1e-6)
    loss.backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_value_when_nothing_is_learned_for_other_arguments() -> None:
    z = torch.full((6, 5), 0.75, dtype=torch.float64)
    value = losses.vicreg(z, z, variance=3.0, eps=0.04).item()
    assert nothing_learned("vicreg", variance=3.0, eps=0.04) == pytest.approx(value)
    assert nothing_learned("vicreg") == pytest.approx(24.75, abs=1e-12)
    for loss in (losses.barlow_twins, losses.squared_vicreg):
        options = {"center": False} | ({"normalize": False} if loss is losses.barlow_twins else {})
        assert loss(0 * z, 0 * z, **options).item() == nothing_learned(loss.__name__, dim=5)
    for temperature in (0.01, 10.0):
        assert losses.nt_xent(z, z, temperature).item() == pytest.approx(log(11))
    # DINO: the cross-entropy of a uniform student from a uniform teacher with 100 prototypes.
    assert nothing_learned("dino", dim=100) == pytest.approx(-sum(0.01 * log(0.01) for _ in range(100)))


def test_a_constant_feature_gives_numbers() -> None:
    z_a, z_b = (z.float() for z in pair((8, 3)))
    z_a[:, 1] = z_b[:, 1] = 2.0
    for name in NAMES:
        variable = z_a.clone().requires_grad_()
        loss = evaluate(name, variable, z_b)
        loss.backward()
        assert variable.grad is not None
        assert torch.isfinite(loss)
        assert torch.isfinite(variable.grad).all()
    # Its correlation is 0: the term on the diagonal is 1, the others are as without it.
    kept = losses.barlow_twins(z_a[:, ::2], z_b[:, ::2])
    torch.testing.assert_close(losses.barlow_twins(z_a, z_b), kept + 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_computed_in_single(name, dtype) -> None:
    z_a, z_b = (z.to(dtype) for z in pair((64, 16), scale=20.0))
    variable = z_a.clone().requires_grad_()
    loss = evaluate(name, variable, z_b)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        loss.double(), evaluate(name, z_a.double(), z_b.double()), rtol=1e-5, atol=1e-6
    )
    loss.backward()
    assert variable.grad is not None
    assert variable.grad.dtype == dtype


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name) -> None:
    z_a, z_b = (z.float() for z in pair((64, 16)))
    plain = evaluate(name, z_a, z_b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (z_a @ z_b.T).dtype == torch.bfloat16
        assert torch.equal(evaluate(name, z_a, z_b), plain)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_made_on_another_device(name) -> None:
    """Tensors without data, on the device `meta`, cannot be mixed with those of another."""
    z = torch.empty(8, 4, device="meta")
    assert evaluate(name, z, z).device.type == "meta"


@pytest.mark.parametrize("name", NAMES)
def test_inputs_and_random_state_stay(name) -> None:
    z_a, z_b = pair((7, 3))
    copies, state = (z_a.clone(), z_b.clone()), torch.get_rng_state()
    evaluate(name, z_a, z_b)
    assert torch.equal(z_a, copies[0])
    assert torch.equal(z_b, copies[1])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["info_nce", "nt_xent", "clip"])
def test_a_temperature_can_be_learned(name) -> None:
    z_a, z_b = pair((7, 3))
    temperature = torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    loss = evaluate(name, z_a, z_b, temperature=temperature)
    loss.backward()
    assert loss.item() == pytest.approx(evaluate(name, z_a, z_b, temperature=0.4).item(), rel=1e-14)
    step = 1e-5
    above, below = (evaluate(name, z_a, z_b, temperature=0.4 + s).item() for s in (step, -step))
    assert temperature.grad is not None
    assert temperature.grad.item() == pytest.approx((above - below) / (2 * step), rel=1e-7)


@pytest.mark.parametrize(
    ("z_a", "z_b", "words"),
    [
        (torch.ones(8, 4), torch.ones(8, 5), r"z_a has shape \(8, 4\) and z_b \(8, 5\); expected the same"),
        (torch.ones(1, 4), torch.ones(1, 4), r"z_a has shape \(1, 4\); expected two rows"),
        (torch.ones(8, 0), torch.ones(8, 0), r"z_a has shape \(8, 0\); expected two rows and one column"),
        (torch.ones(8), torch.ones(8), r"z_a has shape \(8,\); expected \(batch, dim\)$"),
        (
            torch.ones(8, 4),
            torch.ones(8, 4, 2),
            r"z_b has shape \(8, 4, 2\); .* as in z.flatten\(0, -2\)",
        ),
        (torch.ones(8, 4).long(), torch.ones(8, 4), "z_a has dtype torch.int64; expected floating"),
        (torch.ones(8, 4), torch.ones(8, 4) + 1j, "z_b has dtype torch.complex64; expected floating"),
        (np.ones((8, 4)), torch.ones(8, 4), "z_a is a ndarray; expected a tensor"),
        (torch.ones(8, 4), torch.ones(8, 4, device="meta"), "z_a is on cpu and z_b on meta; expected one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("name", NAMES)
def test_bad_embeddings_are_one_sentence(name, z_a, z_b, words) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(name, z_a, z_b)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("barlow_twins", {"off_diagonal_weight": -1.0}, "off_diagonal_weight must be at least 0; got -1"),
        ("barlow_twins", {"center": False}, "center is False and normalize True; expected normalize=False"),
        ("vicreg", {"invariance": -1.0}, "invariance must be at least 0"),
        ("vicreg", {"variance": -1.0}, "variance must be at least 0"),
        ("vicreg", {"covariance": float("nan")}, "covariance must be at least 0; got nan"),
        ("vicreg", {"eps": 0.0}, "eps must be above 0; got 0"),
        ("squared_vicreg", {"invariance": -1.0}, "invariance must be at least 0"),
        ("info_nce", {"temperature": 0.0}, "temperature must be above 0; got 0"),
        ("nt_xent", {"temperature": -0.5}, "temperature must be above 0"),
        ("clip", {"temperature": torch.ones(2)}, "temperature has 2 values; expected one number"),
    ],
)
def test_bad_options_are_one_sentence(name, options, words) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(name, *pair((7, 3)), **options)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (["barlow"], {}, "unknown loss 'barlow'; expected one of .* did you mean 'barlow_twins'"),
        (["barlow_twins"], {"batch_size": 8}, "barlow_twins when nothing is learned depends on dim"),
        (["nt_xent"], {"dim": 8}, "nt_xent when nothing is learned depends on batch_size"),
        (["clip"], {"batch_size": 0}, "batch_size must be a whole number of at least 1; got 0"),
        (["dino"], {"dim": 2.5}, "dim must be a whole number"),
        (["vicreg"], {"eps": 2.0}, "eps must be at least 0 and at most 1; got 2"),
    ],
)
def test_bad_questions_about_nothing_learned_are_one_sentence(arguments, options, words) -> None:
    with pytest.raises(InputError, match=words):
        nothing_learned(*arguments, **options)
