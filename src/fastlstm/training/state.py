"""A classifier's run between two steps, and its checkpoint."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from fastlstm.training import checkpoint
from fastlstm.training.adam import Adam
from fastlstm.training.history import EpochResult
from fastlstm.training.model import TextClassifier


@dataclass
class Totals:
    """What the finished steps of the running epoch add up to."""

    texts: int = 0
    tokens: int = 0
    right: int = 0
    loss: float = 0.0
    seconds: float = 0.0


@dataclass
class TrainingState:
    """A run between two steps. `epoch` counts finished epochs, `step` finished steps of the running one."""

    model: TextClassifier
    optimizer: Adam
    epoch: int = 0
    step: int = 0
    totals: Totals = field(default_factory=Totals)
    history: list[EpochResult] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Writes the checkpoint, whole or not at all. `identity` says which run it belongs to.

        Raises `WriteError` if the file can't be written.
        """
        tensors = {f"adam.{name}": value for name, value in self.optimizer.state().items()}
        tensors |= {f"weights.{name}": w for name, w in self.model.named().items()}
        tensors |= {f"best.{name}": w for name, w in self.best.items()}
        tensors |= {"features.center": self.model.center, "features.deviation": self.model.deviation}
        run = {
            "epoch": self.epoch,
            "step": self.step,
            "totals": dataclasses.asdict(self.totals),
            "history": [dataclasses.asdict(result) for result in self.history],
        }
        checkpoint.write(path, tensors, run, identity)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Goes back to where the checkpoint was written.

        Raises `ResumeError` if there is none, it is damaged, or belongs to a run of another identity.
        """
        with checkpoint.reading(path, identity) as (run, tensors):
            self._take(run, tensors)

    def _take(self, run: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Raises `KeyError` or `ValueError`, before it changes anything, for a missing or ill-shaped tensor."""
        started = run["epoch"] > 0 or run["step"] > 0
        kinds = ["weights", *(["adam.exp_avg", "adam.exp_avg_sq"] if started else [])]
        kinds += ["best"] if run["history"] else []
        for kind, (name, parameter) in itertools.product(kinds, self.model.named().items()):
            if (shape := tensors[f"{kind}.{name}"].shape) != parameter.shape:
                raise ValueError(f"{kind}.{name} has the shape {list(shape)}")
        center, deviation = (tensors[f"features.{name}"] for name in ("center", "deviation"))
        if center.shape != self.model.center.shape or deviation.shape != center.shape:
            raise ValueError(f"features.center has the shape {list(center.shape)}")
        self.model.standardise(center, deviation)
        self.model.assign({name: tensors[f"weights.{name}"] for name in self.model.named()})
        if started:
            adam = {name.removeprefix("adam."): tensor for name, tensor in tensors.items()}
            self.optimizer.restore(adam)
        self.best = {
            name.removeprefix("best."): tensor for name, tensor in tensors.items() if name.startswith("best.")
        }
        self.epoch, self.step = run["epoch"], run["step"]
        self.totals = Totals(**run["totals"])
        self.history = [EpochResult(**result) for result in run["history"]]
