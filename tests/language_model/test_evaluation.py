import numpy as np
import pytest
import torch

from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.language_model.inference import LanguageModel
from fastlstm.language_model.loop import make_state, summed_losses
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.text.tokenizer import train_tokenizer


def test_pytorch_finds_texts_as_likely_as_the_kernel_does() -> None:
    config = LanguageModelConfig(vocabulary_size=13, embedding_size=7, hidden_sizes=(9, 5), direction="both")
    model = make_state(config, LanguageModelTrainingConfig(seed=3), torch.device("cpu")).model
    tokenizer = train_tokenizer(["a b c d e f g h i j k"], 13)
    saved = LanguageModel(SavedLanguageModel(config, tokenizer, model.arrays(), {}))
    random = np.random.default_rng(1)
    texts = [random.integers(1, 13, length).astype(np.int32) for length in (1, 9, 4, 30)]
    expected = saved.perplexity(texts)
    assert np.mean(summed_losses(model, texts)) / expected.tokens == pytest.approx(expected.loss, rel=1e-5)
