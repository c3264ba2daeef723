"""A run's first phase, where it has one: its own texts, read as a language model reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fastlstm._typing import TokenIds
from fastlstm.config import LanguageModelTrainingConfig, ModelConfig, TrainingConfig
from fastlstm.language_model.corpus import fitting_streams
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
"""Usual values, not searched for."""


def pretraining_config(training: TrainingConfig, tokens: int) -> LanguageModelTrainingConfig:
    """How a run reads texts of so many tokens as a language model."""
    return LanguageModelTrainingConfig(
        epochs=training.pretraining_epochs,
        streams=fitting_streams(MAX_STREAMS, WINDOW, tokens),
        window=WINDOW,
        samples=SAMPLES,
        learning_rate=LEARNING_RATE,
        precision=training.precision,
        seed=training.seed,
    )


@dataclass
class Pretraining:
    """The phase and its state."""

    texts: Sequence[TokenIds]
    config: LanguageModelTrainingConfig
    state: LanguageModelState

    @classmethod
    def of(
        cls,
        texts: Sequence[TokenIds],
        model: ModelConfig,
        training: TrainingConfig,
        device: torch.device,
        begin: Mapping[str, npt.NDArray[np.float32]] | None = None,
    ) -> Pretraining:
        """That of a classifier's texts, labelled or not, with fresh weights, or with those of a language model."""
        config = pretraining_config(training, sum(len(ids) + 1 for ids in texts))
        return cls(texts, config, make_state(language_model_config(model), config, device, begin))

    def steps(self) -> Iterator[LanguageModelStep | LanguageModelEpoch]:
        """From where the state is to the end."""
        return train_steps(self.state, self.texts, self.config)

    def hand_over(self, model: TextClassifier) -> None:
        """Gives the classifier what was learned."""
        copy_encoder(model, self.state.model.arrays())
