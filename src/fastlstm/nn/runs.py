"""Parts of a training run shared by classifiers and language models: notes, output checks, checkpoints."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastlstm.errors import InputError, ResumeError
from fastlstm.kernel import find_kernel
from fastlstm.nn.checkpoint import is_checkpoint
from fastlstm.nn.device import find_device
from fastlstm.plots import require_matplotlib
from fastlstm.serialization import atomic
from fastlstm.serialization.classifier import CLASSIFIER_FORMAT
from fastlstm.serialization.folder import ModelFormat, check_target


@dataclass(frozen=True)
class Note:
    """One line for the user.

    `code` identifies the kind of note, such as "precision-unavailable"; `text` may change.
    """

    text: str
    code: str = ""


def checkpoint_path(out: Path) -> Path:
    """The file beside `out` that an unfinished run can go on from."""
    return out.with_name(f"{out.name}.checkpoint")


def check_output(
    out: Path,
    *,
    overwrite: bool,
    resume: bool,
    device: str,
    plots: bool = False,
    of: ModelFormat = CLASSIFIER_FORMAT,
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
    checkpoint = checkpoint_path(out)
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
    check_target(out, of, overwrite=overwrite or resume)
    atomic.check_writable(out)


Event = TypeVar("Event")


def with_checkpoints(
    events: Iterable[Event], save: Callable[[], None], *, whole: type | tuple[type, ...], seconds: float
) -> Generator[Event, None, None]:
    """The events of a run whose state is whole at each of them.

    `save` is called at every event of the kind `whole`, at others once `seconds` have passed since it was, and when
    the caller closes this generator. What it raises then reaches the caller.
    """
    saved = time.monotonic()
    try:
        for event in events:
            if isinstance(event, whole) or time.monotonic() - saved > seconds:
                save()
                saved = time.monotonic()
            yield event
    except GeneratorExit:  # the caller stops here, between two steps
        save()
        raise


def check_same_run(out: Path, identity_there: object, identity: dict[str, Any]) -> None:
    """Raises `InputError` unless the finished model in `out` is this run's, which a resumed run may write over."""
    if identity_there != identity:
        raise InputError(
            f"{out} holds another run's model; pass --overwrite to replace it, or choose another --out"
        )


def precision_notes(asked: str, identity: Mapping[str, Any]) -> Iterator[Note]:
    """That there is no kernel, or another precision than was `asked` for; `identity` is the run's."""
    kernel = find_kernel()
    if kernel.kernel is None and identity["device"] == "cpu":
        yield Note(f"no compiled kernel, PyTorch trains, slower: {kernel.why_not}; see fastlstm doctor")
    if (there := identity["precision"]) != asked:
        yield Note(
            f"{asked} was asked for; this processor multiplies in {there}, "
            "which is slower and comes to a slightly other model"
        )


CHECKPOINT_SECONDS = 15.0
"""How much work a crash may cost."""


def fingerprint(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """What tells arrays from others, in 16 characters."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
