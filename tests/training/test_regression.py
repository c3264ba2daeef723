import numpy as np
import pytest
import torch

from fastlstm.training.linear import _by_pytorch, _by_scikit_learn


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("inverse_penalty", [1e-3, 1e-1])
def test_pytorch_and_scikit_learn_fit_alike(inverse_penalty: float, balanced: bool) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 23)).astype(np.float32)
    inside = features @ random.normal(size=23) + random.normal(size=400) > 2
    expected, came = (
        of(torch.from_numpy(features))(inside, inverse_penalty, balanced) for of in (_by_scikit_learn, _by_pytorch)
    )
    np.testing.assert_allclose(came[0], expected[0], atol=2e-3)
    assert came[1] == pytest.approx(expected[1], abs=2e-3)
