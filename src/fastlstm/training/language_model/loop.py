"""The loop of pretraining: a generator of steps and epochs, as the classifier's is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.config import PretrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.training.arithmetic import arithmetic, autocast, decayed, scaled, seed_of
from fastlstm.training.language_model import corpus
from fastlstm.training.language_model.sampled_softmax import Sampler
from fastlstm.training.language_model.state import PretrainingEpoch, PretrainingState
from fastlstm.training.transfer import Coming

Ids = npt.NDArray[np.int32]

WARMUP_STEPS_IN = 10
"""Of so many steps of a run, one at most raises the learning rate: a short run must not end before it has begun."""


@dataclass(frozen=True)
class PretrainingStep:
    """A step is over: the running epoch, its steps done and to do, its tokens, seconds and mean loss (nats) so far.

    `recent` is the loss of the last steps, smoothed.
    """

    epoch: int
    step: int
    steps: int
    tokens: int
    seconds: float
    loss: float
    recent: float


def pretrain(
    state: PretrainingState, texts: Sequence[Ids], config: PretrainingConfig
) -> Iterator[PretrainingStep | PretrainingEpoch]:
    """Trains from where `state` is to the end. Between any two results `state` is whole: it can be saved.

    Raises `TrainingError` if the loss is no number any more, or the texts are too few to be read side by side.
    """
    model = state.model
    sampler = Sampler(model.config.vocabulary_size, config.samples)
    while state.epoch < config.epochs:
        streams = [
            corpus.streams(
                texts,
                config.streams,
                np.random.default_rng([config.seed, state.epoch, number]),
                reverse=network.direction == "backward",
            )
            for number, network in enumerate(model.learning())
        ]
        steps = corpus.window_count(len(streams[0]), config.window)
        if steps < 1:
            raise TrainingError(
                f"the texts have {sum(map(len, texts)):,} tokens, too few for {config.streams} streams; "
                "give more text"
            )
        for windows in zip(*(corpus.windows(s, config.window, state.step) for s in streams), strict=True):
            started = time.perf_counter()
            done = state.epoch * steps + state.step
            rate = _rate(config, done, config.epochs * steps)
            with arithmetic(config.precision):
                loss = _step(state, windows, sampler, config, rate)
            read = sum(window.read.size for window in windows)
            state.step += 1
            state.loss += loss * read
            state.recent = loss if done == 0 else 0.99 * state.recent + 0.01 * loss
            state.tokens += read
            state.seconds += time.perf_counter() - started
            yield PretrainingStep(
                epoch=state.epoch + 1,
                step=state.step,
                steps=steps,
                tokens=state.tokens,
                seconds=state.seconds,
                loss=state.loss / state.tokens,
                recent=state.recent,
            )
        state.optimizer.catch_up()
        result = PretrainingEpoch(
            epoch=state.epoch + 1,
            loss=state.loss / state.tokens,
            learning_rate=_rate(config, (state.epoch + 1) * steps - 1, config.epochs * steps),
            seconds=state.seconds,
            tokens=state.tokens,
        )
        state.history.append(result)
        state.epoch, state.step, state.tokens, state.loss, state.seconds = state.epoch + 1, 0, 0, 0.0, 0.0
        state.carried = []
        yield result


def _step(
    state: PretrainingState,
    windows: Sequence[corpus.Window],
    sampler: Sampler,
    config: PretrainingConfig,
    rate: float,
) -> float:
    """One step of Adam; returns the mean loss a token."""
    model = state.model
    device = model.bias.device
    seed = seed_of(config.seed, state.epoch, state.step)
    sample, log_chances = sampler.draw(np.random.default_rng(seed))
    generator = torch.Generator(device).manual_seed(seed)
    total, carried = torch.zeros((), device=device), []
    losses: list[Tensor] = []
    words = model.needed(windows, sample, log_chances)
    state.optimizer.catch_up(words.ids)
    vectors, biases = model.vectors_of(words)
    for number, (network, window) in enumerate(zip(model.learning(), windows, strict=True)):
        with autocast(device):
            loss, penalty, states = network.loss(
                window,
                words,
                vectors,
                biases,
                state.carried[number] if state.carried else None,
                config,
                generator,
            )
        total = total + loss + penalty
        losses.append(loss.detach())
        carried.append(states)
    coming = Coming(torch.stack(losses).mean())
    torch.autograd.backward(scaled(total))
    mean = coming()
    if not math.isfinite(mean):
        raise TrainingError(
            f"the loss is {mean} in step {state.step + 1} of epoch {state.epoch + 1}; pass a lower --learning-rate "
            "or --clip-norm"
        )
    state.optimizer.step(rate)
    state.carried = carried
    return mean


def _rate(config: PretrainingConfig, done: int, steps: int) -> float:
    rising = min(1.0, (done + 1) / (min(config.warmup, steps // WARMUP_STEPS_IN) + 1))
    return config.learning_rate * rising * decayed(config.schedule, done / steps)
