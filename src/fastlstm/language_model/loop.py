"""The loop of pretraining: a generator of steps and epochs, as the classifier's is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fastlstm._typing import TokenIds
from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.language_model import corpus
from fastlstm.language_model.network import LanguageModelNetwork, LanguageModelNetworks, States
from fastlstm.language_model.sampled_softmax import Sampler
from fastlstm.nn import checkpoint, layers
from fastlstm.nn.device import AsyncScalar, to_device
from fastlstm.nn.layers import LSTMDirection
from fastlstm.nn.numerics import autocast, decay_parameters, derive_seed, scaled_backward, training_numerics
from fastlstm.nn.optimizer import Adam
from fastlstm.serialization import weights
from fastlstm.text.batches import batches_by_length, lengths_of, pack_batch
from fastlstm.text.tokenizer import BOUNDARY_ID

BATCH_TEXTS = 128
SCORED_ROWS = 8192
"""Tokens whose scores over the whole vocabulary are in memory at a time."""


def summed_losses(model: LanguageModelNetworks, texts: Sequence[TokenIds]) -> list[float]:
    """The summed loss (nats) of all texts, each between two boundaries, by each direction, in float32."""
    with torch.inference_mode():
        return [_summed_loss(model, network, texts) for network in model.each()]


def _summed_loss(model: LanguageModelNetworks, network: LanguageModelNetwork, texts: Sequence[TokenIds]) -> float:
    device = model.bias.device
    boundary = np.array([BOUNDARY_ID], np.int32)
    turned = texts if network.direction == "forward" else [ids[::-1] for ids in texts]
    between = [np.concatenate([boundary, ids, boundary]) for ids in turned]
    total = torch.zeros((), dtype=torch.float64, device=device)
    for members in batches_by_length(lengths_of(between), BATCH_TEXTS):
        batch = pack_batch([between[i][:-1] for i in members])
        outputs: Tensor = model.embedding.weight[to_device(batch.ids, device).long()]
        for layer in network.layers:
            assert isinstance(layer, LSTMDirection)
            outputs, _ = layers.pytorch_lstm(layer.lstm, outputs, batch)
        if network.projection is not None:
            outputs = outputs @ network.projection.T
        expected = to_device(pack_batch([between[i][1:] for i in members]).ids, device).long()
        for at in range(0, len(outputs), SCORED_ROWS):
            rows = slice(at, at + SCORED_ROWS)
            scores = outputs[rows] @ model.embedding.weight.T + model.bias
            total += functional.cross_entropy(scores, expected[rows], reduction="sum")
    return AsyncScalar(total)()


PHASE = "pretraining"
COUNTED = ("epoch", "step", "tokens", "loss", "recent", "seconds")
"""What a checkpoint keeps of a state besides its tensors and its history."""


@dataclass(frozen=True)
class LanguageModelEpoch:
    """One epoch: the mean loss (nats a token, over a sampled softmax), its learning rate, seconds and tokens."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    tokens: int


@dataclass
class LanguageModelState:
    """A run between two steps. `epoch` counts finished epochs, `step` finished steps of the running one.

    Whoever measures the model after each epoch says so by `measured`: `validation` then has the losses, and `best`
    the weights of the epoch with the lowest one.
    """

    model: LanguageModelNetworks
    optimizer: Adam
    epoch: int = 0
    step: int = 0
    tokens: int = 0
    loss: float = 0.0
    recent: float = 0.0
    seconds: float = 0.0
    history: list[LanguageModelEpoch] = field(default_factory=list)
    carried: list[States] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def measured(self, loss: float) -> bool:
        """Takes the validation loss of the epoch just finished; returns whether none was lower so far.

        Raises `TrainingError` for a loss that is no number.
        """
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss is {loss}; pass a lower --learning-rate or --clip-norm")
        self.validation.append(loss)
        best = loss <= min(self.validation)
        if best:
            self.best = {name: weight.detach().clone() for name, weight in self.model.named().items()}
        return best

    def best_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """The best epoch's weights as float32 arrays; of a run that nobody measures, the weights as they stand."""
        return {name: w.float().cpu().numpy().copy() for name, w in self.best.items()} or self.model.arrays()

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Writes the checkpoint, whole or not at all. Raises `WriteError` if it can't be written."""
        tensors = {f"adam.{name}": value for name, value in self.optimizer.state().items()}
        tensors |= {f"weights.{name}": w for name, w in self.model.named().items()}
        tensors |= {f"best.{name}": w for name, w in self.best.items()}
        for network, states in enumerate(self.carried):
            for layer, (h, c) in enumerate(states):
                tensors |= {f"carried.{network}.{layer}.h": h, f"carried.{network}.{layer}.c": c}
        run = {name: getattr(self, name) for name in COUNTED}
        run["history"] = [asdict(result) for result in self.history]
        run |= {"validation": self.validation, "phase": PHASE}
        checkpoint.write_checkpoint(path, tensors, run, identity)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Goes back to where the checkpoint was written.

        Raises `ResumeError` if there is none, it is damaged, or belongs to a run of another identity.
        """
        with checkpoint.read_checkpoint(path, identity) as (run, tensors):
            started = run["epoch"] > 0 or run["step"] > 0
            named = self.model.named()
            validation = run["validation"]
            for kind in ("weights", "best") if validation else ("weights",):
                for name, weight in named.items():
                    if (shape := tensors[f"{kind}.{name}"].shape) != weight.shape:
                        raise ValueError(f"{kind}.{name} has the shape {list(shape)}")
            device = self.model.bias.device
            carried = [
                [
                    (
                        tensors[f"carried.{network}.{layer}.h"].to(device),
                        tensors[f"carried.{network}.{layer}.c"].to(device),
                    )
                    for layer in range(len(self.model.config.hidden_sizes))
                ]
                for network in range(len(self.model.learning()) if run["step"] else 0)
            ]
            if started:
                self.optimizer.restore({name.removeprefix("adam."): tensor for name, tensor in tensors.items()})
            with torch.no_grad():
                for name, weight in named.items():
                    weight.copy_(tensors[f"weights.{name}"])
            self.carried, self.validation = carried, validation
            self.best = {name: tensors[f"best.{name}"].to(device) for name in named} if validation else {}
            self.history = [LanguageModelEpoch(**result) for result in run["history"]]
            for name in COUNTED:
                setattr(self, name, run[name])


def make_state(
    config: LanguageModelConfig,
    training: LanguageModelTrainingConfig,
    device: torch.device,
    begin: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> LanguageModelState:
    """A model, and the state of its training before the first step.

    Args:
        config: its shape.
        training: how it is fitted; its seed also draws the fresh weights.
        device: where.
        begin: weights to begin from. Where a direction is not among them, it is learned, and they are kept.
    """
    with training_numerics():
        model = LanguageModelNetworks(config, seed=training.seed).to(device)
    assert set(model.named()) == set(weights.language_model_shapes(config))
    if begin is not None:
        model.assign(begin)
        if begin.keys() != model.named().keys():
            model.keep(begin)
    return LanguageModelState(model, Adam(model.embedding, model.learned(), training.clip_norm))


WARMUP_STEPS_IN = 10
"""Of so many steps of a run, one at most raises the learning rate: a short run must not end before it has begun."""


@dataclass(frozen=True)
class LanguageModelStep:
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


def train_steps(
    state: LanguageModelState, texts: Sequence[TokenIds], config: LanguageModelTrainingConfig
) -> Iterator[LanguageModelStep | LanguageModelEpoch]:
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
            with training_numerics(config.precision):
                loss = _step(state, windows, sampler, config, rate)
            read = sum(window.read.size for window in windows)
            state.step += 1
            state.loss += loss * read
            state.recent = loss if done == 0 else 0.99 * state.recent + 0.01 * loss
            state.tokens += read
            state.seconds += time.perf_counter() - started
            yield LanguageModelStep(
                epoch=state.epoch + 1,
                step=state.step,
                steps=steps,
                tokens=state.tokens,
                seconds=state.seconds,
                loss=state.loss / state.tokens,
                recent=state.recent,
            )
        state.optimizer.catch_up()
        result = LanguageModelEpoch(
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
    state: LanguageModelState,
    windows: Sequence[corpus.Window],
    sampler: Sampler,
    config: LanguageModelTrainingConfig,
    rate: float,
) -> float:
    """One step of Adam; returns the mean loss a token."""
    model = state.model
    device = model.bias.device
    seed = derive_seed(config.seed, state.epoch, state.step)
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
    coming = AsyncScalar(torch.stack(losses).mean())
    torch.autograd.backward(scaled_backward(total))
    mean = coming()
    if not math.isfinite(mean):
        raise TrainingError(
            f"the loss is {mean} in step {state.step + 1} of epoch {state.epoch + 1}; pass a lower --learning-rate "
            "or --clip-norm"
        )
    state.optimizer.step(rate)
    state.carried = carried
    return mean


def _rate(config: LanguageModelTrainingConfig, done: int, steps: int) -> float:
    rising = min(1.0, (done + 1) / (min(config.warmup, steps // WARMUP_STEPS_IN) + 1))
    return config.learning_rate * rising * decay_parameters(config.schedule, done / steps)
