"""The PyTorch network: saved names and shapes, frozen directions, evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlstm.config import Direction, LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.language_model.inference import LanguageModel
from fastlstm.language_model.loop import make_state
from fastlstm.language_model.network import LanguageModelNetwork
from fastlstm.serialization import weights
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.text.tokenizer import train_tokenizer


def make_network(
    direction: Direction = "both", hidden_sizes: tuple[int, ...] = (9, 5), vocabulary_size: int = 13
) -> LanguageModelNetwork:
    config = LanguageModelConfig(
        vocabulary_size=vocabulary_size, embedding_size=7, hidden_sizes=hidden_sizes, direction=direction
    )
    return make_state(config, LanguageModelTrainingConfig(seed=3), torch.device("cpu")).model


@pytest.mark.parametrize("hidden_sizes", [(9, 5), (9, 7)])
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_weights_have_the_names_and_shapes_of_saved_ones(
    direction: Direction, hidden_sizes: tuple[int, ...]
) -> None:
    network = make_network(direction, hidden_sizes)
    shapes = {name: tuple(weight.shape) for name, weight in network.named().items()}
    assert shapes == weights.language_model_shapes(network.config)


def test_losses_in_pytorch_are_those_of_inference() -> None:
    network = make_network()
    tokenizer = train_tokenizer(["a b c d e f g h i j k"], 13)
    model = LanguageModel(SavedLanguageModel(network.config, tokenizer, network.arrays(), {}))
    random = np.random.default_rng(1)
    texts = [random.integers(1, 13, length).astype(np.int32) for length in (1, 9, 4, 30)]
    expected = model.evaluate_ids(texts)
    assert np.mean(network.sum_losses(texts)) / expected.tokens == pytest.approx(expected.loss, rel=1e-5)


def test_a_direction_missing_in_the_encoder_is_trained_and_the_rest_frozen() -> None:
    encoder = make_network("forward").arrays()
    config = LanguageModelConfig(vocabulary_size=13, embedding_size=7, hidden_sizes=(9, 5), direction="both")
    network = make_state(config, LanguageModelTrainingConfig(), torch.device("cpu"), encoder).model
    assert [direction.direction for direction in network.trained_directions] == ["backward"]
    assert set(network.trained()) == network.named().keys() - encoder.keys()
    for name, array in encoder.items():
        np.testing.assert_array_equal(network.arrays()[name], array)
