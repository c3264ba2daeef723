"""Checkpoints: the complete state of an unfinished run in one safetensors file, without pickle."""

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
    """Write the checkpoint atomically.

    Args:
        path: The file.
        tensors: Weights, optimizer moments, LSTM states.
        run: Counters and histories; must be serializable as JSON.
        identity: The settings and data that identify the run; must be serializable as JSON.

    Raise `WriteError` if the file cannot be written.
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
    """Yield `run` and `tensors`, as passed to `write_checkpoint`.

    Raise `ResumeError` if the file does not exist, is damaged, or belongs to a run of another identity. A
    `KeyError`, `ValueError` or the like that the caller raises in this context counts as damage.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a mapping
        version = metadata["checkpoint_version"]
        if version != CHECKPOINT_VERSION:
            raise ResumeError(
                f"the checkpoint {path} has version {version}; this fastlstm reads version {CHECKPOINT_VERSION}: "
                "resume with the fastlstm that wrote it, or delete the file",
                code="checkpoint-version",
                path=path,
                version=version,
            )
        _check_identity(path, json.loads(metadata["identity"]), dict(identity))
        yield json.loads(metadata["run"]), tensors
    except FileNotFoundError:
        raise missing_checkpoint(path) from None
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ResumeError):
            raise
        raise ResumeError(
            f"the checkpoint {path} is damaged ({error}); delete it and run without `resume=True`",
            code="corrupt-checkpoint",
            path=path,
        ) from error


def missing_checkpoint(path: Path) -> ResumeError:
    """Return the error for a run that has no checkpoint at `path` to resume from."""
    return ResumeError(
        f"nothing to resume: no checkpoint at {path}; run the command without `resume=True`",
        code="no-checkpoint",
        path=path,
    )


def checkpoint_identity(path: Path) -> dict[str, Any]:
    """Return the identity of the run that wrote the checkpoint.

    That of an unreadable file is empty; `read_checkpoint` then raises the error.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return dict(json.loads((file.metadata() or {})["identity"]))
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError):
        return {}


def checkpoint_phase(path: Path) -> str:
    """Return the phase of the run that wrote the checkpoint: its `run["phase"]`, by default "training".

    An unreadable file counts as "training"; `read_checkpoint` then raises the error.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return str(json.loads((file.metadata() or {})["run"]).get("phase", "training"))
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, AttributeError):
        return "training"


def is_checkpoint(path: Path) -> bool:
    """Return whether the file is a fastlstm checkpoint of any version."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return "checkpoint_version" in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


def _check_identity(path: Path, saved: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise `ResumeError` for the first setting in which the saved run differs from this one."""
    for name in identity:
        if saved.get(name) != identity[name]:
            raise ResumeError(
                f"{path} belongs to another run: its {name} is {saved.get(name)}, but this run's "
                f"is {identity[name]}; use the same data and options, or start a new run without `resume=True`",
                code="checkpoint-mismatch",
                path=path,
                setting=name,
                saved=saved.get(name),
                expected=identity[name],
            )
