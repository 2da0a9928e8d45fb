"""The kernel of a module against gradients by plain autograd, one sample and one output at a time."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cases import representative
from solvable.kernels.empirical import empirical_nngp, empirical_ntk, structured
from solvable.kernels.empirical.kernel import Factored, Network, known_layers


def jacobian(module, X):
    """(n, k, parameters), by nothing but `backward`-like calls on the module itself."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    rows = []
    for x in X:
        output = module(x[None].clone()).flatten()
        of_outputs = []
        for value in output:
            found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
            found = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
            of_outputs.append(torch.cat([g.flatten() for g in found]))
        rows.append(torch.stack(of_outputs))
    return torch.stack(rows)


def agree(module, X, Z=None, tolerance=1e-12, **options):
    """All three outputs, with and without Z, against the Jacobians."""
    J = jacobian(module, X)
    J_Z = J[:2] if Z is None else jacobian(module, Z)
    for other in (None, X[:2] if Z is None else Z):
        J_ = J if other is None else J_Z
        full = torch.einsum("iap,jbp->ijab", J, J_)
        diagonal = full.diagonal(dim1=2, dim2=3)
        for outputs, expected in (("full", full), ("diagonal", diagonal), ("trace", diagonal.mean(2))):
            theta = empirical_ntk(module, X, other, outputs, **options)
            assert theta.shape == expected.shape
            assert theta.dtype == expected.dtype
            assert not theta.requires_grad
            assert (theta - expected).abs().max() <= tolerance * expected.abs().max()
            if other is None:
                flipped = theta.transpose(0, 1)
                assert (theta == (flipped.transpose(2, 3) if outputs == "full" else flipped)).all()


def covered(module, X):
    """Names of the parameters that go by the factored form."""
    network, left = Network(module), set()
    while layers := known_layers(network, left):
        try:
            Factored(network, layers).pieces(X[:2], torch.ones(1, network(X[:1]).shape[1]).to(network(X[:1])))
            break
        except structured.UsedElsewhereError as error:
            left.update(error.names)
    return {name for layer in layers for name in layer.parameters.values()}


class Residual(nn.Module):
    def __init__(self, body, in_place=False):
        super().__init__()
        self.body, self.in_place = body, in_place

    def forward(self, x):
        y = self.body(x)
        if self.in_place:
            y += x
            return y
        return x + y


class Lambda(nn.Module):
    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def mlp(activation=nn.ReLU):
    return nn.Sequential(
        nn.Linear(6, 9), activation(), nn.Linear(9, 8, bias=False), activation(), nn.Linear(8, 3)
    )


def tied():
    a, b = nn.Linear(6, 6), nn.Linear(6, 6)
    b.weight = a.weight
    return nn.Sequential(a, nn.Tanh(), b, nn.Tanh(), nn.Linear(6, 2))


def twice():
    a = nn.Linear(6, 6)
    return nn.Sequential(a, nn.Tanh(), a, nn.Tanh(), nn.Linear(6, 2))


def frozen():
    module = mlp()
    module[0].weight.requires_grad_(False)
    module[2].weight.requires_grad_(False)
    module[4].bias.requires_grad_(False)
    return module


def raw():
    return Lambda(
        lambda self, x: (self.layer(x) @ self.matrix).tanh() * self.scale + self.layer(x)[:, :3],
        layer=nn.Linear(6, 5),
        matrix=nn.Parameter(torch.randn(5, 3)),
        scale=nn.Parameter(torch.tensor(1.7)),
    )


def functional():
    return Lambda(
        lambda self, x: self.head(F.linear(self.layer(x).tanh(), self.layer.weight, self.layer.bias)),
        layer=nn.Linear(6, 6),
        head=nn.Linear(6, 2),
    )


def discarded():
    """The layer is called, but what counts is another use of its weight."""
    return Lambda(
        lambda self, x: (self.layer(x), F.linear(x, self.layer.weight).tanh())[1] + self.layer.bias,
        layer=nn.Linear(6, 6),
    )


def parametrized():
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)),
        nn.Tanh(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(5, 3)),
    )


def rearranged():
    """Rows of the batch in another order inside, and put back: hooks cannot see this."""
    return Lambda(lambda self, x: self.layer(x.flip(0)).flip(0).tanh(), layer=nn.Linear(6, 3))


def branching():
    return Lambda(
        lambda self, x: torch.stack([self.a(r) if r.sum() > 0 else self.b(r).tanh() for r in x]),
        a=nn.Linear(6, 2),
        b=nn.Linear(6, 2),
    )


FLAT = {
    "mlp": mlp,
    "mlp in place": lambda: mlp(lambda: nn.ReLU(inplace=True)),
    "in place first": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 4)),
    "tanh": lambda: mlp(nn.Tanh),
    "one output": lambda: Lambda(lambda self, x: self.net(x)[:, 0], net=mlp()),
    "residual": lambda: nn.Sequential(Residual(nn.Sequential(nn.Linear(6, 6), nn.Tanh())), nn.Linear(6, 3)),
    "residual in place": lambda: nn.Sequential(Residual(nn.Linear(6, 6), True), nn.Linear(6, 3)),
    "layer norm": lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2)),
    "rms norm": lambda: nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8), nn.GELU(), nn.Linear(8, 2)),
    "batch norm": lambda: nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.PReLU(), nn.Linear(8, 2)
    ).eval(),
    "dropout": lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2)).eval(),
    "bilinear": lambda: Lambda(lambda self, x: self.b(x, x), b=nn.Bilinear(6, 6, 2)),
    "tied": tied,
    "twice": twice,
    "frozen": frozen,
    "raw": raw,
    "functional": functional,
    "discarded": discarded,
    "parametrized": lambda: parametrized().eval(),
    "rearranged": rearranged,
    "branching": branching,
}
SHAPED = {
    "sequence": ((4, 5), lambda: nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Flatten(), nn.Linear(28, 3))),
    "wide sequence": (
        (40, 2),
        lambda: Lambda(
            lambda self, x: self.net(x).mean(1),
            net=nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)),
        ),
    ),
    "pooled sequence": (
        (2, 3, 5),
        lambda: Lambda(lambda self, x: self.l(x).tanh().mean((1, 2)), l=nn.Linear(5, 4)),
    ),
    "folded sequence": (
        (4, 5),
        lambda: Lambda(lambda self, x: self.l(x.flatten(0, 1)).tanh().view(len(x), -1), l=nn.Linear(5, 2)),
    ),
    "sequence first": (
        (4, 5),
        lambda: Lambda(lambda self, x: self.l(x.transpose(0, 1)).tanh().transpose(0, 1), l=nn.Linear(5, 2)),
    ),
    "as many places as samples": (
        (2, 5),
        lambda: Lambda(lambda self, x: self.l(x.transpose(0, 1)).tanh().transpose(0, 1), l=nn.Linear(5, 2)),
    ),
    "conv": (
        (2, 9, 8),
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 6, (3, 2), groups=2, dilation=(1, 2), padding="same", padding_mode="circular"),
            nn.GroupNorm(3, 6),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        ).eval(),
    ),
    "depthwise": (
        (4, 4, 4),
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=4, bias=False), nn.Flatten(), nn.Tanh()),
    ),
    "conv1d": (
        (3, 11),
        lambda: nn.Sequential(
            nn.Conv1d(3, 4, 4, padding="same", padding_mode="reflect"),
            nn.Tanh(),
            nn.Conv1d(4, 2, 3, 2),
            nn.Flatten(),
        ),
    ),
    "conv3d": (
        (2, 4, 4, 3),
        lambda: nn.Sequential(nn.Conv3d(2, 3, 2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(300, 2)),
    ),
    "conv transposed": ((2, 4, 4), lambda: nn.Sequential(nn.ConvTranspose2d(2, 1, 2), nn.Flatten())),
    "conv twice": (
        (2, 5, 5),
        lambda: Lambda(lambda self, x: self.c(self.c(x).tanh()[..., :4]).flatten(1), c=nn.Conv2d(2, 2, 2)),
    ),
    "folded conv": (
        (3, 2, 5, 5),
        lambda: Lambda(
            lambda self, x: self.c(x.flatten(0, 1)).tanh().view(len(x), -1), c=nn.Conv2d(2, 2, 4, groups=2)
        ),
    ),
    "unbatched conv": (
        (2, 5, 5),
        lambda: Lambda(lambda self, x: torch.stack([self.c(i).tanh() for i in x]), c=nn.Conv2d(2, 2, 4)),
    ),
    "attention": (
        (3, 4),
        lambda: Lambda(
            lambda self, x: self.a(x, x, x)[0].mean(1), a=nn.MultiheadAttention(4, 2, batch_first=True)
        ),
    ),
    "transformer": (
        (3, 4),
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), nn.Flatten(), nn.Linear(12, 2)
        ).eval(),
    ),
    "recurrent": (
        (3, 4),
        lambda: Lambda(lambda self, x: self.r(x)[0][:, -1], r=nn.LSTM(4, 3, batch_first=True)),
    ),
}
CASES = {**{name: ((6,), make) for name, make in FLAT.items()}, **SHAPED}
EVERY = pytest.mark.parametrize("name", CASES)


def case(name, dtype=torch.float64, n=5):
    torch.manual_seed(0)
    shape, make = CASES[name]
    module = make().to(dtype)
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(part.running_mean, -1, 1)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module, torch.randn(n, *shape, dtype=dtype), torch.randn(3, *shape, dtype=dtype)


@pytest.fixture(autouse=True)
def _random_state():
    with torch.random.fork_rng():
        yield


@EVERY
def test_equals_the_jacobians(name):
    module, X, Z = case(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    X_before, training = X.clone(), [part.training for part in module.modules()]
    agree(module, X, Z)
    assert (X - X_before == 0).all()
    assert training == [part.training for part in module.modules()]
    assert all((module.state_dict()[key] == value).all() for key, value in before.items())
    assert all(p.grad is None for p in module.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


@pytest.mark.parametrize(
    "name", ["mlp", "layer norm", "tied", "raw", "rearranged", "sequence", "conv", "attention"]
)
def test_single_precision(name):
    module, X, Z = case(name, torch.float32)
    agree(module, X, Z, tolerance=1e-5)


@pytest.mark.parametrize(
    "name", representative(["mlp", "pooled sequence", "conv1d", "tied"], fast=["mlp", "tied"])
)
def test_small_memory_and_batches_give_the_same(name):
    module, X, Z = case(name)
    agree(module, X, Z, batch=2)
    for outputs in ("trace", "full"):
        expected = empirical_ntk(module, X, Z, outputs)
        theta = empirical_ntk(module, X, Z, outputs, memory=1.0 if name == "mlp" else 5000.0)
        assert (theta - expected).abs().max() <= 1e-13 * expected.abs().max()


@pytest.mark.parametrize("name", ["conv", "sequence", "wide sequence", "folded conv", "twice"])
@pytest.mark.parametrize("cheap", ["_by_places", "_written_out"])
def test_both_ways_over_places_are_the_same(name, cheap, monkeypatch):
    from solvable.kernels.empirical.pieces import Patches

    other = {"_by_places": "_written_out", "_written_out": "_by_places"}[cheap]
    monkeypatch.setattr(Patches, other, getattr(Patches, cheap))
    module, X, Z = case(name)
    agree(module, X, Z)
    # So little that the tiles are small; the outputs one by one, since there are pairs of them otherwise.
    expected = empirical_ntk(module, X, Z)
    theta = empirical_ntk(module, X, Z, memory=100_000.0)
    assert (theta - expected).abs().max() <= 1e-13 * expected.abs().max()


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("name", ["mlp", "sequence first", "as many places as samples", "rearranged"])
def test_few_samples(name, n):
    module, X, Z = case(name, n=n)
    agree(module, X, Z)


def test_which_parameters_need_no_jacobian():
    for name in (
        "mlp",
        "mlp in place",
        "residual",
        "residual in place",
        "layer norm",
        "rms norm",
        "twice",
        "conv",
        "depthwise",
        "conv1d",
        "conv3d",
        "conv twice",
        "folded conv",
        "sequence",
        "folded sequence",
    ):
        module, X, _ = case(name)
        assert covered(module, X) == {key for key, _ in module.named_parameters()}, name
    for name, expected in {
        "tied": {"0.bias", "2.bias", "4.weight", "4.bias"},
        "functional": {"head.weight", "head.bias"},
        "discarded": set(),
        "frozen": {"0.bias", "4.weight"},
        "rearranged": {"layer.bias"},
        "raw": {"layer.weight", "layer.bias"},
        "batch norm": {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"},
    }.items():
        module, X, _ = case(name)
        assert covered(module, X) - {"layer.bias"} == expected - {"layer.bias"}, name


def test_tokens():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(15, 2)
    )
    module = module.double()
    X = torch.randint(0, 7, (6, 5))
    assert covered(module, X) == {key for key, _ in module.named_parameters()}
    agree(module, X)
    agree(module, X, memory=20_000.0)
    np.testing.assert_array_equal(empirical_ntk(module, X.numpy()), empirical_ntk(module, X).numpy())
    table = Lambda(lambda self, x: self.table[x].sum(1), table=nn.Parameter(torch.randn(7, 2)))
    assert empirical_ntk(table, torch.tensor([[0, 1], [1, 1]])).tolist() == [[2.0, 2.0], [2.0, 4.0]]


def test_language_model_with_tied_readout():
    torch.manual_seed(0)
    embedding, readout = nn.Embedding(7, 4), nn.Linear(4, 7)
    readout.weight = embedding.weight
    module = nn.Sequential(embedding, nn.Linear(4, 4), nn.Tanh(), readout).double()
    X = torch.randint(0, 7, (4, 3))
    agree(module, X)
    assert covered(module, X) == {"1.weight", "1.bias", "3.bias"}


def test_finite_differences():
    """No autograd on this side: the outputs at parameters moved by ±1e-5."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv1d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 2)
    ).double()
    X, columns, step = torch.randn(3, 1, 6).double(), [], 1e-5
    with torch.no_grad():
        for parameter in module.parameters():
            for i in range(parameter.numel()):
                moved = []
                for sign in (1.0, -1.0):
                    parameter.view(-1)[i] += sign * step
                    moved.append(module(X))
                    parameter.view(-1)[i] -= sign * step
                columns.append((moved[0] - moved[1]) / (2.0 * step))
    J = torch.stack(columns, dim=2)
    expected = torch.einsum("iap,jbp->ijab", J, J)
    assert (empirical_ntk(module, X, outputs="full") - expected).abs().max() < 1e-8 * expected.abs().max()


def test_numpy_in_numpy_out():
    module, X, Z = case("mlp", torch.float32)
    expected = empirical_ntk(module, X, Z)
    theta = empirical_ntk(module, X.double().numpy(), Z.tolist())
    assert isinstance(theta, np.ndarray)
    assert theta.dtype == np.float32
    np.testing.assert_array_equal(theta, expected.numpy())
    whole = np.arange(12).reshape(2, 6)
    np.testing.assert_array_equal(empirical_ntk(module, whole), empirical_ntk(module, whole.astype(float)))


def test_grad_modes_of_the_caller():
    module, X, _ = case("mlp")
    expected = empirical_ntk(module, X.clone().requires_grad_())
    with torch.no_grad():
        assert (empirical_ntk(module, X) == expected).all()
    with torch.inference_mode():
        assert (empirical_ntk(module, X * 1.0) == expected).all()


def test_hooks_and_gradients_of_the_user_stay():
    module, X, _ = case("mlp")
    module(X).sum().backward()
    kept = [p.grad.clone() for p in module.parameters()]
    module[0].register_forward_hook(lambda part, args, output: 2.0 * output)
    module[2].register_forward_pre_hook(lambda part, args: (args[0] + 1.0,))
    agree(module, X)
    assert covered(module, X) == {key for key, _ in module.named_parameters()}
    assert all((p.grad == g).all() for p, g in zip(module.parameters(), kept, strict=True))
    assert len(module[0]._forward_hooks) == len(module[2]._forward_pre_hooks) == 1


def test_module_is_itself_again_after_a_failure():
    module = Lambda(lambda self, x: self.layer(x) if len(x) < 3 else self.fail, layer=nn.Linear(2, 2))
    weight = module.layer.weight
    with pytest.raises(AttributeError):
        empirical_ntk(module, torch.randn(4, 2))
    assert module.layer.weight is weight
    assert not module.layer._forward_hooks
    assert not module.layer._forward_pre_hooks


def test_buffers_that_forward_writes_stay():
    def forward(self, x):
        self.calls += 1.0
        return self.layer(x)

    module = Lambda(forward, layer=nn.Linear(2, 1))
    module.register_buffer("calls", torch.zeros(()))
    agree(module, torch.randn(3, 2), tolerance=1e-5)
    calls = float(module.calls)
    empirical_ntk(module, torch.randn(3, 2))
    assert float(module.calls) == calls


def test_nngp_tends_to_the_limit():
    from solvable.kernels import NNGP

    torch.manual_seed(0)
    X = torch.randn(6, 4).double()
    total = 0.0
    for _ in range(20):
        module = nn.Sequential(nn.Linear(4, 2000, bias=False), nn.ReLU(), nn.Linear(2000, 1)).double()
        nn.init.normal_(module[0].weight, std=(2.0 / 4) ** 0.5)
        total += empirical_nngp(module, X.numpy()) / 20
    limit = NNGP(1)(X.numpy())
    assert np.abs(total - limit).max() < 0.03 * limit.max()
    Z = torch.randn(2, 4).double()
    assert isinstance(empirical_nngp(module, X, Z), torch.Tensor)
    h, h_ = module[1](module[0](X)), module[1](module[0](Z))
    torch.testing.assert_close(empirical_nngp(module, X, Z), (h @ h_.T / 2000).detach())
