"""A checkpoint: everything that the rest of a run depends on, as one safetensors file, no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from fastlstm.errors import ResumeError
from fastlstm.serialization import atomic

CHECKPOINT_VERSION = "2"


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], run: Mapping[str, Any], identity: Mapping[str, Any]
) -> None:
    """Writes the checkpoint, whole or not at all.

    Args:
        path: the file.
        tensors: what is large.
        run: what is small, as JSON takes it.
        identity: says which run it belongs to, likewise.

    Raises `WriteError` if the file can't be written.
    """
    metadata = {
        "checkpoint_version": CHECKPOINT_VERSION,
        "run": json.dumps(dict(run)),
        "identity": json.dumps(dict(identity)),
    }
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic.write_file(path, safetensors.torch.save(on_cpu, metadata))


@contextmanager
def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
    """The `run` and the `tensors` of a checkpoint, for the caller to take.

    Raises `ResumeError` if there is none, it belongs to a run of another identity, or is damaged: a missing or
    ill-shaped part that the caller finds (`KeyError`, `ValueError`, ...) counts as that too.
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
        yield json.loads(metadata["run"]), tensors
    except FileNotFoundError:
        raise ResumeError(f"nothing to resume: no checkpoint at {path}; run the command without --resume") from None
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ResumeError):
            raise
        raise ResumeError(
            f"the checkpoint {path} is damaged ({error}); delete it and run without --resume"
        ) from error


def checkpoint_phase(path: Path) -> str:
    """Which phase of a run wrote the checkpoint: "training", or another that its `run` names as "phase".

    What can't be read counts as training, whose `read_checkpoint` then says what is wrong with it.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return str(json.loads((file.metadata() or {})["run"]).get("phase", "training"))
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, AttributeError):
        return "training"


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
