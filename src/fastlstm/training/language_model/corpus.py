"""Encoded texts -> long streams of tokens, read side by side in windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.tokens import BOUNDARY_ID

Ids = npt.NDArray[np.int32]

FEWEST_WINDOWS = 20
"""Few texts are read in fewer streams, so that an epoch has this many steps."""


@dataclass(frozen=True)
class Window:
    """What a step reads, [T, B] token ids, and what it is to foretell, each the token after."""

    read: Ids
    expected: Ids


def streams(texts: Sequence[Ids], count: int, generator: np.random.Generator, *, reverse: bool) -> Ids:
    """All texts in random order, a boundary before each, as `count` streams of one length: [length, count].

    Args:
        texts: token ids, without boundaries.
        reverse: every text from its end to its beginning.

    The last few tokens, fewer than `count`, are left out.
    """
    boundary = np.array([BOUNDARY_ID], np.int32)
    pieces: list[Ids] = []
    for i in generator.permutation(len(texts)):
        pieces += [boundary, texts[i][::-1] if reverse else texts[i]]
    joined = np.concatenate([*pieces, boundary])
    length = len(joined) // count
    return np.ascontiguousarray(joined[: length * count].reshape(count, length).T)


def fitting_streams(most: int, window: int, tokens: int) -> int:
    """As many streams as leave an epoch `FEWEST_WINDOWS` windows or more, at least one and at most `most`."""
    return max(1, min(most, tokens // (window * FEWEST_WINDOWS)))


def window_count(length: int, tokens: int) -> int:
    """Windows of `tokens` steps, the last one perhaps shorter, in streams of that length."""
    return -(-(length - 1) // tokens)


def windows(stream: Ids, tokens: int, start: int = 0) -> Iterator[Window]:
    """The windows of streams [length, B], from number `start` on."""
    for at in range(start * tokens, len(stream) - 1, tokens):
        end = min(at + tokens, len(stream) - 1)
        yield Window(stream[at:end], stream[at + 1 : end + 1])
