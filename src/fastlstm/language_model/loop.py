"""The training loop of a language model, as a generator of steps and epochs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.language_model import corpus
from fastlstm.language_model.network import LanguageModelNetwork, States
from fastlstm.language_model.sampled_softmax import Sampler
from fastlstm.nn import checkpoint
from fastlstm.nn.device import AsyncScalar
from fastlstm.nn.kernel_lstm import training_precision
from fastlstm.nn.numerics import (
    autocast,
    derive_seed,
    learning_rate_factor,
    require_finite_loss,
    scale_loss,
    training_numerics,
)
from fastlstm.nn.optimizer import Adam
from fastlstm.nn.parallel import process_group
from fastlstm.serialization import weights

PHASE = "pretraining"
"""The phase in checkpoints of a language model's training."""
COUNTERS = ("epoch", "step", "tokens", "loss", "smoothed_loss", "seconds")
"""Attributes of the state that a checkpoint stores as JSON, in addition to the histories."""
WARMUP_DIVISOR = 10
"""Warm-up takes at most a tenth of the steps of a run, so that short runs reach the full learning rate."""


@dataclass(frozen=True)
class LanguageModelStep:
    """A finished step.

    Attributes:
        epoch: The current epoch, from 1.
        step, steps: Finished steps of the epoch, and all of them.
        tokens, seconds: Tokens and seconds of the epoch so far.
        loss: Mean loss (nats per token) of the epoch so far.
        smoothed_loss: Exponential moving average of the loss.
    """

    epoch: int
    step: int
    steps: int
    tokens: int
    seconds: float
    loss: float
    smoothed_loss: float


@dataclass(frozen=True)
class LanguageModelEpoch:
    """A finished epoch: its mean loss (nats per token, sampled softmax), last learning rate, seconds and tokens."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    tokens: int


@dataclass
class LanguageModelState:
    """The state of a run between two steps.

    Attributes:
        model: The network.
        optimizer: Its optimizer.
        epoch: Number of finished epochs.
        step: Number of finished steps of the current epoch.
        tokens, loss, seconds: Tokens, summed loss and seconds of the current epoch.
        smoothed_loss: Exponential moving average of the loss.
        history: The finished epochs.
        lstm_states: Final states of the last window, for each trained direction; empty at the start of an epoch. In a
            group of processes, those of this process's streams.
        streams: The number of streams.
        validation_losses: Loss of each finished epoch, if the caller records them.
        best: Weights of the epoch with the lowest validation loss.
    """

    model: LanguageModelNetwork
    optimizer: Adam
    epoch: int = 0
    step: int = 0
    tokens: int = 0
    loss: float = 0.0
    smoothed_loss: float = 0.0
    seconds: float = 0.0
    history: list[LanguageModelEpoch] = field(default_factory=list)
    lstm_states: list[States] = field(default_factory=list)
    streams: int = 0
    validation_losses: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def record_validation_loss(self, loss: float) -> bool:
        """Record the validation loss of the last epoch; return whether it is the lowest so far.

        Raise `TrainingError` for a non-finite loss.
        """
        require_finite_loss(loss, f"on the validation texts after epoch {self.epoch}")
        self.validation_losses.append(loss)
        best = loss <= min(self.validation_losses)
        if best:
            self.best = {name: weight.detach().clone() for name, weight in self.model.named().items()}
        return best

    def best_arrays(self) -> dict[str, FloatArray]:
        """Return the weights of the best epoch; the current ones if no validation loss was recorded."""
        return {name: w.float().cpu().numpy().copy() for name, w in self.best.items()} or self.model.arrays()

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write a checkpoint atomically; in a group of processes, the first one writes that of all.

        Raise `WriteError` if it cannot be written.
        """
        tensors = {f"adam.{name}": value for name, value in self.optimizer.state().items()}
        tensors |= {f"weights.{name}": w for name, w in self.model.named().items()}
        tensors |= {f"best.{name}": w for name, w in self.best.items()}
        group = process_group()
        for direction, states in enumerate(self.lstm_states):
            for layer, pair in enumerate(states):
                h, c = (group.gather(state, self.streams) for state in pair)
                tensors |= {f"lstm_states.{direction}.{layer}.h": h, f"lstm_states.{direction}.{layer}.c": c}
        if not group.is_first:
            return
        run = {name: getattr(self, name) for name in COUNTERS}
        run["history"] = [asdict(epoch) for epoch in self.history]
        run |= {"validation_losses": self.validation_losses, "phase": PHASE}
        checkpoint.write_checkpoint(path, tensors, run, identity)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint.

        Raise `ResumeError` if the file does not exist, is damaged, or belongs to a run of another identity.
        """
        with checkpoint.read_checkpoint(path, identity) as (run, tensors):
            has_steps = run["epoch"] > 0 or run["step"] > 0
            named = self.model.named()
            validation_losses = run["validation_losses"]
            for kind in ("weights", "best") if validation_losses else ("weights",):
                for name, weight in named.items():
                    if (shape := tensors[f"{kind}.{name}"].shape) != weight.shape:
                        raise ValueError(f"{kind}.{name} has the shape {list(shape)}")
            device, group = self.model.bias.device, process_group()
            lstm_states = [
                [
                    (
                        group.share(tensors[f"lstm_states.{direction}.{layer}.h"].to(device)),
                        group.share(tensors[f"lstm_states.{direction}.{layer}.c"].to(device)),
                    )
                    for layer in range(len(self.model.config.hidden_sizes))
                ]
                for direction in range(len(self.model.trained_directions) if run["step"] else 0)
            ]
            if has_steps:
                self.optimizer.restore({name.removeprefix("adam."): tensor for name, tensor in tensors.items()})
            with torch.no_grad():
                for name, weight in named.items():
                    weight.copy_(tensors[f"weights.{name}"])
            self.lstm_states, self.validation_losses = lstm_states, validation_losses
            self.best = {name: tensors[f"best.{name}"].to(device) for name in named} if validation_losses else {}
            self.history = [LanguageModelEpoch(**epoch) for epoch in run["history"]]
            for name in COUNTERS:
                setattr(self, name, run[name])


def make_state(
    config: LanguageModelConfig,
    training: LanguageModelTrainingConfig,
    device: torch.device,
    encoder: Mapping[str, FloatArray] | None = None,
) -> LanguageModelState:
    """Return a model and the state of its training before the first step.

    Args:
        config: The shape of the model.
        training: The training configuration. Its seed determines the initial weights.
        device: The device to train on.
        encoder: Weights to start from. If they lack a direction, they are frozen and the missing direction is
            trained.
    """
    with training_numerics():
        model = LanguageModelNetwork(config, seed=training.seed).to(device)
    assert set(model.named()) == set(weights.language_model_shapes(config))
    if encoder is not None:
        model.assign(encoder)
        if encoder.keys() != model.named().keys():
            model.freeze(encoder)
    return LanguageModelState(model, Adam(model.embedding, model.trained(), training.clip_norm))


def train_steps(
    state: LanguageModelState, texts: Sequence[TokenIds], config: LanguageModelTrainingConfig
) -> Iterator[LanguageModelStep | LanguageModelEpoch]:
    """Train from `state` to the last epoch. At each event `state` is consistent and can be saved.

    Raise `TrainingError` if training diverges, or there are too few tokens for the number of streams.
    """
    model, group = state.model, process_group()
    if config.streams < group.size:
        raise TrainingError(
            f"{group.size} processes share {config.streams} streams of text, but each needs one; use fewer processes, "
            "or more streams or texts",
            code="too-few-streams",
            streams=config.streams,
        )
    state.streams = config.streams
    sampler = Sampler(model.config.vocabulary_size, config.samples)
    precision = training_precision(config.precision, model.config.hidden_sizes, config.streams, model.bias.device)
    while state.epoch < config.epochs:
        streams = [
            corpus.token_streams(
                texts,
                config.streams,
                np.random.default_rng([config.seed, state.epoch, number]),
                reverse=network.direction == "backward",
            )
            for number, network in enumerate(model.trained_directions)
        ]
        steps = corpus.window_count(len(streams[0]), config.window)
        if steps < 1:
            tokens = sum(map(len, texts))
            raise TrainingError(
                f"the texts have {tokens:,} tokens, too few for {config.streams} streams; add texts, or set a "
                "smaller number of streams",
                code="too-few-tokens",
                tokens=tokens,
                streams=config.streams,
            )
        for windows in zip(*(corpus.windows(s, config.window, state.step) for s in streams), strict=True):
            started = time.perf_counter()
            finished = state.epoch * steps + state.step
            rate = learning_rate(config, finished, config.epochs * steps)
            with training_numerics(precision):
                loss = _step(state, windows, sampler, config, rate)
            tokens = sum(window.inputs.size for window in windows)
            state.step += 1
            state.loss += loss * tokens
            state.smoothed_loss = loss if finished == 0 else 0.99 * state.smoothed_loss + 0.01 * loss
            state.tokens += tokens
            state.seconds += time.perf_counter() - started
            yield LanguageModelStep(
                epoch=state.epoch + 1,
                step=state.step,
                steps=steps,
                tokens=state.tokens,
                seconds=state.seconds,
                loss=state.loss / state.tokens,
                smoothed_loss=state.smoothed_loss,
            )
        state.optimizer.catch_up()
        epoch = LanguageModelEpoch(
            epoch=state.epoch + 1,
            loss=state.loss / state.tokens,
            learning_rate=learning_rate(config, (state.epoch + 1) * steps - 1, config.epochs * steps),
            seconds=state.seconds,
            tokens=state.tokens,
        )
        state.history.append(epoch)
        state.epoch, state.step, state.tokens, state.loss, state.seconds = state.epoch + 1, 0, 0, 0.0, 0.0
        state.lstm_states = []
        yield epoch


def learning_rate(config: LanguageModelTrainingConfig, finished: int, steps: int) -> float:
    """Return the learning rate after `finished` of `steps` steps: linear warm-up times the schedule."""
    warmup_steps = min(config.warmup, steps // WARMUP_DIVISOR)
    warmup_factor = min(1.0, (finished + 1) / (warmup_steps + 1))
    return config.learning_rate * warmup_factor * learning_rate_factor(config.schedule, finished / steps)


def _step(
    state: LanguageModelState,
    windows: Sequence[corpus.Window],
    sampler: Sampler,
    config: LanguageModelTrainingConfig,
    rate: float,
) -> float:
    """Take one step of Adam; return the mean loss per token."""
    model, group = state.model, process_group()
    device = model.bias.device
    seed = derive_seed(config.seed, state.epoch, state.step)
    sample, log_inclusion = sampler.draw(np.random.default_rng(seed))
    generator = torch.Generator(device).manual_seed(seed)
    total, lstm_states = torch.zeros((), device=device), []
    losses: list[Tensor] = []
    vocabulary = model.step_vocabulary(windows, sample, log_inclusion)
    state.optimizer.catch_up(vocabulary.ids)
    vectors, biases = model.embed(vocabulary)
    share = 1.0
    for number, (network, whole) in enumerate(zip(model.trained_directions, windows, strict=True)):
        window = corpus.Window(group.share(whole.inputs.T).T, group.share(whole.targets.T).T)
        share = window.inputs.size / whole.inputs.size
        with autocast(device):
            loss, penalty, states = network.loss(
                window,
                vocabulary,
                vectors,
                biases,
                state.lstm_states[number] if state.lstm_states else None,
                config,
                generator,
                whole,
            )
        total = total + (loss + penalty) * share
        losses.append(loss.detach())
        lstm_states.append(states)
    mean_loss = AsyncScalar(torch.stack(losses).mean())
    torch.autograd.backward(scale_loss(total))
    sums = group.start_sum_numbers(mean_loss() * share)
    state.optimizer.step(rate)
    (loss_value,) = sums()
    require_finite_loss(loss_value, f"in step {state.step + 1} of epoch {state.epoch + 1}")
    state.lstm_states = lstm_states
    return loss_value
