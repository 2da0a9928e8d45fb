"""What the empirical kernels refuse, each with a sentence."""

import numpy as np
import pytest
import torch
from torch import nn

from solvable.errors import InputError
from solvable.kernels.empirical import empirical_nngp, empirical_ntk

X = torch.ones(3, 2)
NET = nn.Linear(2, 2)


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.layer = function, nn.Linear(2, 2)

    def forward(self, x):
        return self.function(self.layer(x))


def dropout_net():
    return nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5))


CASES = {
    "not a module": (lambda x: x, X, "module is a function"),
    "a class": (nn.Linear, X, "the class Linear"),
    "no parameters": (nn.ReLU(), X, r"no trainable parameters \(0 frozen\)"),
    "all frozen": (nn.Linear(2, 2).requires_grad_(False), X, r"no trainable parameters \(2 frozen\)"),
    "lazy": (nn.LazyLinear(2), X, "run one batch"),
    "complex weights": (nn.Linear(2, 2, dtype=torch.complex64), X, "complex64"),
    "dropout": (dropout_net(), X, r"1 \(Dropout\) is in training mode.*module.eval\(\)"),
    "batch norm": (nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4)), X, "BatchNorm1d.*whole batch"),
    "attention dropout": (nn.MultiheadAttention(2, 1, dropout=0.1), X, "MultiheadAttention.*random"),
    "random": (Lambda(lambda y: y + torch.rand_like(y)), X, "each sample alone"),
    "mixed": (Lambda(lambda y: y - y.mean(0)), torch.eye(2), "each sample alone"),
    "no running mean": (
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)).eval(),
        torch.eye(2),
        "each sample alone|does not take",
    ),
    "max_norm": (nn.Embedding(3, 2, max_norm=1.0), torch.ones(2, 2, dtype=torch.int64), "max_norm=1"),
    "tuple": (Lambda(lambda y: (y, y)), X, "returns a tuple"),
    "no batch axis": (Lambda(lambda y: y.sum()), X, r"returns shape \(\)"),
    "wrong rows": (Lambda(lambda y: y[:1]), X, "a row for each sample"),
    "whole outputs": (Lambda(lambda y: y.argmax(1)), X, "torch.int64"),
    "no outputs": (Lambda(lambda y: y[:, :0]), X, "at least one output"),
    "wrong width": (NET, torch.ones(3, 4), r"does not take inputs of shape \(2, 4\)"),
    "nan": (NET, torch.tensor([[1.0, np.nan]]), "NaN or infinite"),
    "infinite": (NET, np.array([[1.0, np.inf]]), "NaN or infinite"),
    "empty": (NET, torch.ones(0, 2), "at least one sample"),
    "scalar": (NET, torch.tensor(1.0), "one number"),
    "complex": (NET, X.to(torch.complex64), "torch.complex64"),
    "complex NumPy": (NET, np.ones((2, 2)) * 1j, "complex128"),
    "strings": (NET, [["a", "b"]], "real numbers"),
    "ragged": (NET, [[1.0], [1.0, 2.0]], "real numbers"),
    "integers": (NET, torch.ones(3, 2, dtype=torch.int64), "dtype torch.int64"),
    "double": (NET, X.double(), r"pass X.to\(torch.float32\)"),
    "sparse": (NET, X.to_sparse(), "to_dense"),
    "other device": (NET, torch.ones(3, 2, device="meta"), "meta"),
    "nan outputs": (Lambda(lambda y: (y - y).sqrt() / (y - y)), X, "not finite|NaN"),
}


@pytest.mark.parametrize("name", CASES)
def test_refusals(name):
    module, points, sentence = CASES[name]
    with pytest.raises(InputError, match=sentence):
        empirical_ntk(module, points)


def test_pairs_and_options():
    with pytest.raises(InputError, match=r"samples of X have shape \(2,\) and those of Z \(3,\)"):
        empirical_ntk(NET, X, torch.ones(3, 3))
    with pytest.raises(InputError, match=r"unknown outputs 'fulll'.*did you mean 'full'"):
        empirical_ntk(NET, X, outputs="fulll")
    with pytest.raises(InputError, match=r"batch must be .*; got 0"):
        empirical_ntk(NET, X, batch=0)
    with pytest.raises(InputError, match=r"memory must be .*; got -1"):
        empirical_ntk(NET, X, memory=-1)
    with pytest.raises(InputError, match=r"no torch\.nn\.Linear"):
        empirical_nngp(nn.Conv1d(2, 2, 1), torch.ones(3, 2, 1))


def test_eval_mode_mends_dropout():
    assert empirical_ntk(dropout_net().eval(), X).shape == (3, 3)
