"""The pretraining phase of a classifier run: a language model trained on the same texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import LanguageModelTrainingConfig, ModelConfig, TrainingConfig
from fastlstm.language_model.corpus import limit_streams
from fastlstm.language_model.loop import (
    LanguageModelEpoch,
    LanguageModelState,
    LanguageModelStep,
    make_state,
    train_steps,
)
from fastlstm.training.finetuning import copy_encoder, language_model_config
from fastlstm.training.model import TextClassifier

MAX_STREAMS, WINDOW, SAMPLES, LEARNING_RATE = 128, 40, 1024, 4e-3
"""Common values, not tuned."""


def pretraining_config(training: TrainingConfig, tokens: int) -> LanguageModelTrainingConfig:
    """Return the language model configuration of a pretraining phase over `tokens` tokens."""
    return LanguageModelTrainingConfig(
        epochs=training.pretraining_epochs,
        streams=limit_streams(MAX_STREAMS, WINDOW, tokens),
        window=WINDOW,
        samples=SAMPLES,
        learning_rate=LEARNING_RATE,
        precision=training.precision,
        seed=training.seed,
    )


@dataclass
class Pretraining:
    """The phase: its texts, configuration and state."""

    texts: Sequence[TokenIds]
    config: LanguageModelTrainingConfig
    state: LanguageModelState

    @classmethod
    def create(
        cls,
        texts: Sequence[TokenIds],
        model: ModelConfig,
        training: TrainingConfig,
        device: torch.device,
        weights: Mapping[str, FloatArray] | None = None,
    ) -> Pretraining:
        """Create the phase for tokenized texts, with fresh weights or with those of a language model."""
        config = pretraining_config(training, sum(len(ids) + 1 for ids in texts))
        return cls(texts, config, make_state(language_model_config(model), config, device, weights))

    def steps(self) -> Iterator[LanguageModelStep | LanguageModelEpoch]:
        """Train from the current state to the end."""
        return train_steps(self.state, self.texts, self.config)

    def copy_to(self, model: TextClassifier) -> None:
        """Copy the weights into the classifier."""
        copy_encoder(model, self.state.model.arrays())
