"""What a run is to do, and whether it can."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastlstm import atomic, model_folder, saved_model
from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.errors import InputError, ResumeError
from fastlstm.fit.data import RunData
from fastlstm.plots import require_matplotlib
from fastlstm.training.checkpoint import is_checkpoint
from fastlstm.training.fitting import find_device


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run is to do. Frozen, so that two runs of equal jobs on equal data are equal.

    `encoder` is the folder of a language model to begin from; `teacher` that of a classifier to learn from.
    `early_exit`: learn when a text need not be read on.
    With a `budget` of seconds, the best model that can be had in that time is made, whatever `model` and `training`
    say.
    """

    data: RunData
    model: ModelConfig
    training: TrainingConfig
    out: Path
    preset: str
    cap_vocabulary: bool = True
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    baseline: bool = True
    plots: bool = False
    early_exit: bool = False
    encoder: Path | None = None
    teacher: Path | None = None
    budget: float | None = None


def checkpoint_of(out: Path) -> Path:
    """The file beside `out` that an unfinished run can go on from."""
    return out.with_name(f"{out.name}.checkpoint")


def check_before(
    out: Path,
    *,
    overwrite: bool,
    resume: bool,
    device: str,
    plots: bool = False,
    of: model_folder.Format = saved_model.FORMAT,
) -> None:
    """Raises what would end a run later, before it costs any time. `of`: what kind of model it makes.

    Raises:
        InputError: `out` is taken, there is nothing to resume, no such device, or nothing to draw with.
        WriteError: nothing can be written there.
    """
    find_device(device)
    if plots:
        require_matplotlib()
    if not out.name:
        raise InputError(f"the model can't be written as {out}; expected the name of a folder to make: pass --out")
    checkpoint = checkpoint_of(out)
    if checkpoint.exists() and not is_checkpoint(checkpoint):
        raise InputError(
            f"{checkpoint} is there and is not a checkpoint of fastlstm, so it is never written over; "
            "move it, or choose another --out"
        )
    if resume and not checkpoint.is_file():
        raise ResumeError(f"nothing to resume: no checkpoint at {checkpoint}; run the command without --resume")
    if not resume and checkpoint.exists() and not overwrite:
        raise InputError(
            f"{checkpoint} holds an unfinished run; pass --resume to go on with it, or --overwrite to start anew"
        )
    model_folder.check_target(out, of, overwrite=overwrite or resume)
    atomic.check_writable(out)
