"""When a run saves its state, and what a run that goes on may write over."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, TypeVar

from fastlstm.errors import InputError

Event = TypeVar("Event")


def checkpointed(
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


def check_own_model(out: Path, identity_there: object, identity: dict[str, Any]) -> None:
    """Raises `InputError` unless the finished model in `out` is this run's, which a resumed run may write over."""
    if identity_there != identity:
        raise InputError(
            f"{out} holds another run's model; pass --overwrite to replace it, or choose another --out"
        )
