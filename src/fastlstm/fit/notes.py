"""What a run says of its arithmetic, whatever it trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastlstm.fit.events import Note
from fastlstm.kernel import find


def arithmetic_notes(asked: str, identity: Mapping[str, Any]) -> Iterator[Note]:
    """That there is no kernel, or another precision than was `asked` for; `identity` is the run's."""
    kernel = find()
    if kernel.kernel is None and identity["device"] == "cpu":
        yield Note(f"no compiled kernel, PyTorch trains, slower: {kernel.why_not}; see fastlstm doctor")
    if (there := identity["precision"]) != asked:
        yield Note(
            f"{asked} was asked for; this processor multiplies in {there}, "
            "which is slower and comes to a slightly other model"
        )
