"""Random features of convolutional kernels: unbiased with one layer, near with more, the same for tensors."""

import numpy as np
import pytest
import torch

from solvable.errors import InputError
from solvable.kernels import ConvNNGP, ConvNTK

IMAGES = np.random.default_rng(0).standard_normal((3, 4, 4, 2))
ONE_LAYER = [
    ConvNNGP(1, b_std=0.3, readout_w_std=1.3, readout_b_std=0.5),
    ConvNNGP(1, "erf", readout="global_average", padding="CIRCULAR"),
    ConvNTK(1, "gelu", b_std=0.3, readout_b_std=0.5),
    ConvNTK(1, readout="global_average", padding="VALID", filter_size=2),
    ConvNTK(1, "sin", pool_after=1),
    ConvNTK(1, b_std=0.2, parametrization="standard", widths=5),
    ConvNTK(1, b_std=None, readout="global_average", parametrization="standard", widths=5),
]


@pytest.mark.parametrize("kernel", ONE_LAYER, ids=str)
def test_unbiased(kernel):
    draws = np.stack([phi @ phi.T for phi in (kernel.features(64, seed)(IMAGES) for seed in range(300))])
    standard_error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - kernel(IMAGES)) < 4.5 * standard_error).all()


@pytest.mark.parametrize("kind", [ConvNNGP, ConvNTK])
@pytest.mark.parametrize("readout", ["flatten", "global_average"])
def test_deeper_nets_come_close(kind, readout):
    kernel = kind(2, b_std=0.2, readout=readout, pool_after=1)
    draws = np.stack([phi @ phi.T for phi in (kernel.features(100, seed)(IMAGES) for seed in range(40))])
    standard_error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - kernel(IMAGES)) < 4.5 * standard_error + 0.02 * kernel(IMAGES)).all()


def test_the_map_stays_and_takes_tensors():
    phi = ConvNTK(2).features(7, random_state=0)
    features = phi(IMAGES)
    assert features.shape == (3, 7)
    np.testing.assert_array_equal(phi(IMAGES), features)
    np.testing.assert_allclose(phi(torch.as_tensor(IMAGES)).numpy(), features, rtol=1e-10, atol=1e-12)
    assert 0 < phi.error(IMAGES) < 3
    with pytest.raises(
        InputError, match=r"X has images of 3 x 4 x 2 and the weights .* for images of 4 x 4 x 2"
    ):
        phi(IMAGES[:, :3])
