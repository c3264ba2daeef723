"""A run's first phase, where it has one: its own texts, read as a language model reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.config import ModelConfig, PretrainingConfig, TrainingConfig
from fastlstm.training.encoder import language_model_config, take_encoder
from fastlstm.training.language_model.corpus import fitting_streams
from fastlstm.training.language_model.loop import PretrainingStep, pretrain
from fastlstm.training.language_model.state import PretrainingEpoch, PretrainingState, make_state
from fastlstm.training.model import TextClassifier

Ids = npt.NDArray[np.int32]

MOST_STREAMS, WINDOW, SAMPLES, LEARNING_RATE = 128, 40, 1024, 4e-3
"""Usual values, not searched for."""


def pretraining_config(training: TrainingConfig, tokens: int) -> PretrainingConfig:
    """How a run reads texts of so many tokens as a language model."""
    return PretrainingConfig(
        epochs=training.pretraining_epochs,
        streams=fitting_streams(MOST_STREAMS, WINDOW, tokens),
        window=WINDOW,
        samples=SAMPLES,
        learning_rate=LEARNING_RATE,
        precision=training.precision,
        seed=training.seed,
    )


@dataclass
class Pretraining:
    """The phase and its state."""

    texts: Sequence[Ids]
    config: PretrainingConfig
    state: PretrainingState

    @classmethod
    def of(
        cls,
        texts: Sequence[Ids],
        model: ModelConfig,
        training: TrainingConfig,
        device: torch.device,
        begin: Mapping[str, npt.NDArray[np.float32]] | None = None,
    ) -> Pretraining:
        """That of a classifier's texts, labelled or not, with fresh weights, or with those of a language model."""
        config = pretraining_config(training, sum(len(ids) + 1 for ids in texts))
        return cls(texts, config, make_state(language_model_config(model), config, device, begin))

    def steps(self) -> Iterator[PretrainingStep | PretrainingEpoch]:
        """From where the state is to the end."""
        return pretrain(self.state, self.texts, self.config)

    def hand_over(self, model: TextClassifier) -> None:
        """Gives the classifier what was learned."""
        take_encoder(model, self.state.model.arrays())
