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
from torch import Tensor, nn

from fastlstm import weights
from fastlstm.config import LanguageModelConfig, PretrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.training import checkpoint
from fastlstm.training.adam import Adam
from fastlstm.training.arithmetic import arithmetic, autocast, decayed, seed_of
from fastlstm.training.language_model import corpus
from fastlstm.training.language_model.network import LanguageModelNetwork, States, Words
from fastlstm.training.language_model.sampled_softmax import Sampler
from fastlstm.training.layer import LSTMDirection
from fastlstm.training.word_vectors import WordVectors

Ids = npt.NDArray[np.int32]

PHASE = "pretraining"
COUNTED = ("epoch", "step", "tokens", "loss", "recent", "seconds")
"""What a checkpoint keeps of a state besides its tensors and its history."""


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


@dataclass(frozen=True)
class PretrainingEpoch:
    """One epoch: the mean loss (nats a token, over a sampled softmax), its learning rate, seconds and tokens."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    tokens: int


class LanguageModelNetworks(nn.Module):
    """Both directions, or the one there is, around one embedding."""

    def __init__(self, config: LanguageModelConfig, *, seed: int) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = WordVectors(config.vocabulary_size, config.embedding_size)
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
            self.networks = nn.ModuleList(
                LanguageModelNetwork(config, direction, self.embedding) for direction in config.directions
            )

    def each(self) -> list[LanguageModelNetwork]:
        """The directions' networks."""
        return [network for network in self.networks if isinstance(network, LanguageModelNetwork)]

    def named(self) -> dict[str, Tensor]:
        """The learned weights, under the names of `fastlstm.weights.language_model_shapes`."""
        result: dict[str, Tensor] = {"embedding.weight": self.embedding.weight}
        for network in self.each():
            for number, layer in enumerate(network.layers):
                assert isinstance(layer, LSTMDirection)
                prefix = f"lstm.{number}.{network.direction}"
                result[f"{prefix}.weight_ih"] = layer.weight_ih
                result[f"{prefix}.weight_hh"] = layer.weight_hh
                result[f"{prefix}.bias"] = layer.bias
            if network.projection is not None:
                result[f"projection.{network.direction}.weight"] = network.projection
        return {**result, "output.bias": self.bias}

    def assign(self, values: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Copies in weights, by the names that `named` gives."""
        with torch.no_grad():
            for name, weight in self.named().items():
                weight.copy_(torch.from_numpy(values[name]))

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """The learned weights as float32 arrays of their own."""
        return {name: w.detach().float().cpu().numpy().copy() for name, w in self.named().items()}


@dataclass
class PretrainingState:
    """A run between two steps. `epoch` counts finished epochs, `step` finished steps of the running one."""

    model: LanguageModelNetworks
    optimizer: Adam
    epoch: int = 0
    step: int = 0
    tokens: int = 0
    loss: float = 0.0
    recent: float = 0.0
    seconds: float = 0.0
    history: list[PretrainingEpoch] = field(default_factory=list)
    carried: list[States] = field(default_factory=list)

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Writes the checkpoint, whole or not at all. Raises `WriteError` if it can't be written."""
        tensors = {f"adam.{name}": value for name, value in self.optimizer.state().items()}
        tensors |= {f"weights.{name}": w for name, w in self.model.named().items()}
        for network, states in enumerate(self.carried):
            for layer, (h, c) in enumerate(states):
                tensors |= {f"carried.{network}.{layer}.h": h, f"carried.{network}.{layer}.c": c}
        run = {name: getattr(self, name) for name in COUNTED}
        run["history"] = [asdict(result) for result in self.history]
        run["phase"] = PHASE
        checkpoint.write(path, tensors, run, identity)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Goes back to where the checkpoint was written.

        Raises `ResumeError` if there is none, it is damaged, or belongs to a run of another identity.
        """
        with checkpoint.reading(path, identity) as (run, tensors):
            started = run["epoch"] > 0 or run["step"] > 0
            named = self.model.named()
            for name, weight in named.items():
                if (shape := tensors[f"weights.{name}"].shape) != weight.shape:
                    raise ValueError(f"weights.{name} has the shape {list(shape)}")
            device = self.model.bias.device
            carried = [
                [
                    (
                        tensors[f"carried.{network}.{layer}.h"].to(device),
                        tensors[f"carried.{network}.{layer}.c"].to(device),
                    )
                    for layer in range(len(self.model.config.hidden_sizes))
                ]
                for network in range(len(self.model.networks) if run["step"] else 0)
            ]
            if started:
                self.optimizer.restore({name.removeprefix("adam."): tensor for name, tensor in tensors.items()})
            with torch.no_grad():
                for name, weight in named.items():
                    weight.copy_(tensors[f"weights.{name}"])
            self.carried = carried
            self.history = [PretrainingEpoch(**result) for result in run["history"]]
            for name in COUNTED:
                setattr(self, name, run[name])


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
            for number, network in enumerate(model.each())
        ]
        steps = corpus.window_count(len(streams[0]), config.window)
        if steps < 1:
            raise TrainingError(
                f"the texts have {sum(map(len, texts)):,} tokens, too few for {config.streams} streams; "
                "give more text, or pass a lower --streams"
            )
        for windows in zip(*(corpus.windows(s, config.window, state.step) for s in streams), strict=True):
            started = time.perf_counter()
            done = state.epoch * steps + state.step
            rate = _rate(config, done, config.epochs * steps)
            with arithmetic():
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
    needed = [Words.of(window, sample, log_chances, model.config.vocabulary_size) for window in windows]
    union = needed[0].ids
    for words in needed[1:]:
        union = np.union1d(union, words.ids)
    state.optimizer.catch_up(union)
    vectors = model.embedding(torch.from_numpy(union).to(device))
    for number, (network, window, words) in enumerate(zip(model.each(), windows, needed, strict=True)):
        if len(union) > len(words.ids):
            words = Words(union, np.searchsorted(union, sample), log_chances)
        with autocast(device):
            loss, penalty, states = network.loss(
                window,
                words,
                vectors,
                model.bias[torch.from_numpy(words.ids).to(device).long()],
                state.carried[number] if state.carried else None,
                config,
                generator,
            )
        total = total + loss + penalty
        losses.append(loss.detach())
        carried.append(states)
    mean = float(torch.stack(losses).mean())
    if not math.isfinite(mean):
        raise TrainingError(
            f"the loss is {mean} in step {state.step + 1} of epoch {state.epoch + 1}; pass a lower --learning-rate "
            "or --clip-norm"
        )
    torch.autograd.backward(total)
    state.optimizer.step(rate)
    state.carried = carried
    return mean


def _rate(config: PretrainingConfig, done: int, steps: int) -> float:
    rising = min(1.0, (done + 1) / (config.warmup + 1))
    return config.learning_rate * rising * decayed(config.schedule, done / steps)


def make_state(config: LanguageModelConfig, training: PretrainingConfig, device: torch.device) -> PretrainingState:
    """A model with fresh weights, and the state of its training before the first step."""
    with arithmetic():
        model = LanguageModelNetworks(config, seed=training.seed).to(device)
    assert set(model.named()) == set(weights.language_model_shapes(config))
    return PretrainingState(model, Adam(model.embedding, model.named(), training.clip_norm))
