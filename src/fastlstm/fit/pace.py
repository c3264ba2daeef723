"""How long training will take on this machine: a few steps of it are made and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.training.encoder import language_model_config
from fastlstm.training.language_model.loop import pretrain
from fastlstm.training.language_model.state import make_state
from fastlstm.training.loop import Labelled, make_optimizer, train_epochs
from fastlstm.training.model import TextClassifier
from fastlstm.training.pretraining import pretraining_config
from fastlstm.training.state import TrainingState

TIMED_STEPS = 3
TEXT_TOKENS = 200
"""Tokens of a text in the timed steps, about those of a review."""


@dataclass(frozen=True)
class Pace:
    """Seconds a token: of pretraining, and of training on labels."""

    pretraining: float
    training: float

    def seconds(self, training: TrainingConfig, pretraining_tokens: int, training_tokens: int) -> float:
        """What a run takes with that many tokens in an epoch of each kind."""
        first = self.pretraining * training.pretraining_epochs * pretraining_tokens
        return first + self.training * training.epochs * training_tokens


def measure_pace(model: ModelConfig, training: TrainingConfig, classes: int, device: torch.device) -> Pace:
    """Makes a few steps on random tokens."""
    generator = np.random.default_rng(0)
    length = min(TEXT_TOKENS, model.max_tokens)
    # As Zipf's law has it, most tokens are those of few words.
    ranks = generator.zipf(1.2, (training.batch_size * (TIMED_STEPS + 1), length))
    texts = list((ranks % (model.vocabulary_size - 1) + 1).astype(np.int32))
    labelled = Labelled(texts, np.arange(len(texts)) % classes)
    state = TrainingState(
        classifier := TextClassifier(model, classes, seed=0).to(device), make_optimizer(classifier, training)
    )
    steps = train_epochs(state, labelled, labelled, training)
    of_training = _timed(steps) / (training.batch_size * length)
    if not training.pretraining_epochs:
        return Pace(0.0, of_training)
    config = pretraining_config(training, tokens=10**9)
    tokens = config.streams * config.window
    several = generator.zipf(1.2, tokens * (TIMED_STEPS + 2)) % (model.vocabulary_size - 1) + 1
    of = make_state(language_model_config(model), config, device)
    return Pace(_timed(pretrain(of, [several.astype(np.int32)], config)) / tokens, of_training)


def _timed(steps: Iterator[object]) -> float:
    """The median seconds of a step, the first of which warms up."""
    next(steps)
    seconds = []
    for _ in range(TIMED_STEPS):
        started = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))
