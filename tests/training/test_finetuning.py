import numpy as np
import pytest
import torch

from fastlstm.config import Direction, LanguageModelConfig, LanguageModelTrainingConfig, ModelConfig
from fastlstm.errors import OptionError
from fastlstm.language_model.inference import UnidirectionalLSTM
from fastlstm.language_model.loop import make_state
from fastlstm.text.batches import pack_batch
from fastlstm.training.finetuning import config_from_encoder, copy_encoder, language_model_config
from fastlstm.training.model import TextClassifier

TEXTS = [np.array(ids, np.int32) for ids in ([3, 4, 5, 3, 9], [6, 6, 2], [7])]
PRETRAINING = LanguageModelTrainingConfig(seed=3)


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("hidden_sizes", [(7,), (7, 5)])
def test_a_classifier_reads_as_the_language_model_it_begins_from(
    direction: Direction, hidden_sizes: tuple[int, ...]
) -> None:
    of = LanguageModelConfig(vocabulary_size=12, embedding_size=6, hidden_sizes=hidden_sizes, direction=direction)
    arrays = make_state(of, PRETRAINING, torch.device("cpu")).model.arrays()
    config = config_from_encoder(of, ModelConfig(pooling="last"))
    model = TextClassifier(config, 2, seed=0).eval()
    copy_encoder(model, arrays)

    features: list[torch.Tensor] = []
    model.output.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
    with torch.no_grad():
        model(pack_batch(TEXTS))
    turned = {"forward": TEXTS, "backward": [ids[::-1] for ids in TEXTS]}
    expected = []
    for name in of.directions:
        batch = pack_batch(turned[name])
        _, states = UnidirectionalLSTM.from_weights(arrays, name, len(hidden_sizes))(
            arrays["embedding.weight"][batch.ids], batch.batch_sizes
        )
        expected.append(states[-1][0])
    np.testing.assert_allclose(features[0].numpy(), np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)


def test_a_language_model_of_a_classifier_is_one_it_can_begin_from() -> None:
    for bidirectional in (False, True):
        config = ModelConfig(vocabulary_size=12, embedding_size=6, hidden_sizes=(7, 5), bidirectional=bidirectional)
        assert config_from_encoder(language_model_config(config), config) == config


def test_a_backward_language_model_alone_is_refused() -> None:
    with pytest.raises(OptionError, match="backward only"):
        config_from_encoder(LanguageModelConfig(direction="backward"), ModelConfig())
