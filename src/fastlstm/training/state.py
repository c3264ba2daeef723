"""Everything that the rest of a training run depends on, and its checkpoint: one safetensors file, no pickle."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from fastlstm import atomic
from fastlstm.errors import ResumeError
from fastlstm.training.adam import Adam
from fastlstm.training.history import EpochResult
from fastlstm.training.model import TextClassifier

CHECKPOINT_VERSION = "1"


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
        tensors |= {f"weights.{name}": w.detach() for name, w in self.model.named().items()}
        tensors |= {f"best.{name}": w for name, w in self.best.items()}
        run = {
            "epoch": self.epoch,
            "step": self.step,
            "totals": dataclasses.asdict(self.totals),
            "history": [dataclasses.asdict(result) for result in self.history],
        }
        metadata = {
            "checkpoint_version": CHECKPOINT_VERSION,
            "run": json.dumps(run),
            "identity": json.dumps(dict(identity)),
        }
        on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        atomic.write_file(path, safetensors.torch.save(on_cpu, metadata))

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Goes back to where the checkpoint was written.

        Raises `ResumeError` if there is none, it is damaged, or belongs to a run of another identity.
        """
        try:
            with safetensors.safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
            if metadata["checkpoint_version"] != CHECKPOINT_VERSION:
                raise ResumeError(
                    f"the checkpoint {path} has version {metadata['checkpoint_version']}, and this fastlstm reads "
                    f"{CHECKPOINT_VERSION}; go on with the fastlstm that wrote it, or delete it"
                )
            _check_identity(path, json.loads(metadata["identity"]), dict(identity))
            self._take(json.loads(metadata["run"]), tensors)
        except FileNotFoundError:
            raise ResumeError(
                f"nothing to resume: no checkpoint at {path}; run the command without --resume"
            ) from None
        except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ResumeError):
                raise
            raise ResumeError(
                f"the checkpoint {path} is damaged ({error}); delete it and run without --resume"
            ) from error

    def _take(self, run: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Raises `KeyError` or `ValueError`, before it changes anything, for a missing or ill-shaped tensor."""
        started = run["epoch"] > 0 or run["step"] > 0
        kinds = ["weights", *(["adam.exp_avg", "adam.exp_avg_sq"] if started else [])]
        kinds += ["best"] if run["history"] else []
        for kind, (name, parameter) in itertools.product(kinds, self.model.named().items()):
            if (shape := tensors[f"{kind}.{name}"].shape) != parameter.shape:
                raise ValueError(f"{kind}.{name} has the shape {list(shape)}")
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


def is_checkpoint(path: Path) -> bool:
    """Whether the file is a checkpoint of fastlstm, of whatever version."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return "checkpoint_version" in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


def _check_identity(path: Path, saved: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raises `ResumeError` that names the first setting in which the two runs differ."""
    for name in asked:
        if saved.get(name) != asked[name]:
            raise ResumeError(
                f"{path} belongs to another run: its {name.replace('_', '-')} is {saved.get(name)}, this one's is "
                f"{asked[name]}; give the same data and options, or start anew without --resume"
            )
