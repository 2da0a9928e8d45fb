"""Values and derivatives of batches of points, against autograd and finite differences; what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.landscapes import module_loss, numpy_loss, toy
from solvable.landscapes.inputs import as_batch, as_loss


def bumpy(theta: Tensor) -> Tensor:
    return (
        torch.sin(theta).sum() * theta[0] + torch.exp(-(theta**2).sum()) + (theta[1:] * theta[:-1] ** 2).sum()
    )


def branching(theta: Tensor) -> Tensor:
    # vmap has no rule for a branch on a value.
    return bumpy(theta) if float(theta[0].detach()) > 0 else 2 * bumpy(theta)


@pytest.mark.parametrize("function", [bumpy, branching])
def test_a_batch_has_the_derivatives_of_each_point(function: Any) -> None:
    theta, vectors = np.random.default_rng(0).standard_normal((2, 5, 4))
    here = as_loss(function).at(theta)
    H = here.hessian()
    for i, point in enumerate(theta):
        t = torch.tensor(point)
        exact = np.asarray(torch.autograd.functional.hessian(function, t))
        np.testing.assert_allclose(here.value[i], float(function(t)), rtol=1e-14)
        gradient = torch.autograd.functional.jacobian(function, t).numpy()
        np.testing.assert_allclose(here.gradient[i], gradient, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(H[i], exact, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(here.product(vectors)[i], exact @ vectors[i], rtol=1e-12, atol=1e-13)


def test_a_linear_loss_has_no_curvature() -> None:
    here = as_loss(lambda theta: 3 * theta[0] + theta[1]).at(np.ones((2, 2)))
    assert not here.hessian().any()
    assert not here.product(np.ones((2, 2))).any()


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.linear = nn.Linear(3, 2)

    def forward(self, ids: Tensor, x: Tensor) -> Tensor:
        return self.linear(torch.tanh(x + self.table(ids)))


def two_inputs(**options: Any) -> Any:
    torch.manual_seed(0)
    X = {"ids": torch.arange(7) % 5, "x": torch.randn(7, 3)}
    return module_loss(TwoInputs(), "cross-entropy", X, [0, 1, 1, 0, 1, 0, 0], **options)


def test_mini_batches_change_nothing_and_dicts_are_keyword_arguments() -> None:
    whole, parts = two_inputs(l2=0.01), two_inputs(l2=0.01, batch_size=3)
    assert len(whole.pieces) == 1
    assert len(parts.pieces) == 3
    theta, vectors = np.random.default_rng(0).standard_normal((2, 3, len(whole.theta0)))
    a, b = whole.at(theta), parts.at(theta)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-13)
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(a.product(vectors), b.product(vectors), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(a.hessian(), b.hessian(), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(parts.value(theta), a.value, rtol=1e-13)


def test_a_module_s_loss_is_the_module_s() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 2))
    net[0].bias.requires_grad_(False)
    before = [p.clone() for p in net.parameters()]
    X, y = torch.randn(6, 3), torch.randn(6, 2)
    loss = module_loss(net, None, X, y, l2=0.5)
    assert list(loss.layers) == ["0.weight", "2.weight", "2.bias"]
    weights = [p for p in net.parameters() if p.requires_grad]
    expected = (net(X) - y).square().sum() / 6 + 0.5 * sum(p.square().sum() for p in weights)
    np.testing.assert_allclose(loss.value(loss.theta0[None])[0], float(expected.detach()), rtol=1e-6)
    moved = loss.module_at(loss.theta0 + 1)
    for (name, p), q in zip(moved.named_parameters(), before, strict=True):
        np.testing.assert_allclose((p - q).detach(), float(name != "0.bias"), atol=1e-6)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_numpy_losses_agree_with_torch() -> None:
    theta, vectors = np.random.default_rng(0).standard_normal((2, 6, 2))
    torch_loss = as_loss(toy.value)
    products = numpy_loss(
        toy.value, toy.gradient, hessp=lambda t, p: np.einsum("bij,bj->bi", toy.hessian(t), p), batched=True
    )
    one_by_one = numpy_loss(toy.value, toy.gradient, hess=toy.hessian)
    for loss in (toy.loss(), products, one_by_one):
        here, other = loss.at(theta), torch_loss.at(theta)
        np.testing.assert_allclose(here.value, other.value, rtol=1e-14)
        np.testing.assert_allclose(here.gradient, other.gradient, rtol=1e-12)
        np.testing.assert_allclose(here.hessian(), other.hessian(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(here.product(vectors), other.product(vectors), rtol=1e-12)


def test_kinks_are_seen_in_the_graph() -> None:
    loss = as_loss(lambda t: torch.relu(t).sum() + t.abs().sum() + torch.nn.functional.silu(t).sum())
    loss.check(np.ones((1, 2)))
    assert loss.kinks == ("abs", "relu")


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        ([1, 2], "theta0 holds integers"),
        (torch.tensor([1, 2]), "theta0 holds integers"),
        ([1j, 2], "theta0 holds complex numbers"),
        ([[1.0, 2.0], [np.nan, 1.0]], "1 value that is NaN or infinite, the first at row 1"),
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\); expected \(N,\)"),
        ([[1.0], [1.0, 2.0]], "rows of different lengths"),
        (["a"], "values of type"),
        (None, "theta0 is missing"),
    ],
)
def test_starts_that_are_refused(theta: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_batch(theta, as_loss(bumpy))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda t: t**2, r"returns shape \(2,\); expected one number"),
        (lambda t: (t**2).sum().float(), "returns torch.float32; expected torch.float64"),
        (lambda t: t @ torch.ones(2), "cannot compute with float64"),
        (lambda t: torch.tensor(3.0, dtype=torch.float64), "does not depend on the parameters"),
        (lambda t: 3.0, "returns a float"),
        (lambda t: torch.log(t - 2).sum(), "the loss is NaN or infinite at start 0"),
        (lambda t: (t**2).sum() * torch.rand(()), "the loss is random"),
        (lambda t: t @ torch.ones(3, dtype=torch.float64), "the loss fails at the first start"),
    ],
)
def test_losses_that_are_refused(loss: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_loss(loss).check(np.ones((1, 2)))


def test_modules_and_data_that_are_refused() -> None:
    X, y = torch.ones(5, 3), torch.ones(5, 2)
    linear = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"Dropout.*training mode"):
        module_loss(nn.Sequential(linear, nn.Dropout(0.5)), None, X, y)
    with pytest.raises(InputError, match=r"BatchNorm1d.*training mode"):
        module_loss(nn.Sequential(linear, nn.BatchNorm1d(2)), None, X, y)
    module_loss(nn.Sequential(linear, nn.BatchNorm1d(2)).eval(), None, X, y)
    with pytest.raises(InputError, match="X has 5 samples and y has 4"):
        module_loss(linear, None, X, y[:4])
    with pytest.raises(InputError, match="X is complex"):
        module_loss(linear, None, X + 1j, y)
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0]).double())
    for criterion in (weighted, nn.CrossEntropyLoss(reduction="sum")):
        with pytest.raises(InputError, match="expected a criterion that is the mean over samples"):
            module_loss(linear, criterion, torch.randn(5, 3), [0, 1, 0, 0, 1], batch_size=2)
    with pytest.raises(InputError, match="no trainable parameters"):
        module_loss(nn.ReLU(), None, X, y)
    with pytest.raises(InputError, match="module is a function"):
        module_loss(bumpy, None, X, y)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="X holds no numbers"):
        module_loss(linear, None, "abc", y)
    with pytest.raises(InputError, match="call module_loss"):
        as_loss(linear)
    with pytest.raises(InputError, match="loss is a int"):
        as_loss(3)
    with pytest.raises(InputError, match="neither hess nor hessp"):
        numpy_loss(toy.value, toy.gradient)
    with pytest.raises(InputError, match=r"grad returns shape \(1,\) for 2 parameters"):
        numpy_loss(toy.value, lambda t: t[:1], hess=toy.hessian).gradient(np.ones((1, 2)))
    loss = module_loss(linear, None, X, y)
    with pytest.raises(InputError, match="2 parameters for each start; expected 8"):
        as_batch([1.0, 2.0], loss)
