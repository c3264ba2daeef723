"""A language model's run between two steps, and its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm import weights
from fastlstm.config import LanguageModelConfig, PretrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.training import checkpoint
from fastlstm.training.adam import Adam
from fastlstm.training.arithmetic import arithmetic
from fastlstm.training.language_model.network import LanguageModelNetworks, States

PHASE = "pretraining"
COUNTED = ("epoch", "step", "tokens", "loss", "recent", "seconds")
"""What a checkpoint keeps of a state besides its tensors and its history."""


@dataclass(frozen=True)
class PretrainingEpoch:
    """One epoch: the mean loss (nats a token, over a sampled softmax), its learning rate, seconds and tokens."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    tokens: int


@dataclass
class PretrainingState:
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
    history: list[PretrainingEpoch] = field(default_factory=list)
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
        checkpoint.write(path, tensors, run, identity)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Goes back to where the checkpoint was written.

        Raises `ResumeError` if there is none, it is damaged, or belongs to a run of another identity.
        """
        with checkpoint.reading(path, identity) as (run, tensors):
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
            self.history = [PretrainingEpoch(**result) for result in run["history"]]
            for name in COUNTED:
                setattr(self, name, run[name])


def make_state(
    config: LanguageModelConfig,
    training: PretrainingConfig,
    device: torch.device,
    begin: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> PretrainingState:
    """A model, and the state of its training before the first step.

    Args:
        config: its shape.
        training: how it is fitted; its seed also draws the fresh weights.
        device: where.
        begin: weights to begin from. Where a direction is not among them, it is learned, and they are kept.
    """
    with arithmetic():
        model = LanguageModelNetworks(config, seed=training.seed).to(device)
    assert set(model.named()) == set(weights.language_model_shapes(config))
    if begin is not None:
        model.assign(begin)
        if begin.keys() != model.named().keys():
            model.keep(begin)
    return PretrainingState(model, Adam(model.embedding, model.learned(), training.clip_norm))
