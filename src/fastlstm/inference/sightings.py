"""The n-grams of a text that comes token by token: which were seen, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.ngrams import NUMBERS, Evidence, Kind, occurrences

Ids = npt.NDArray[np.int32]
LOOKED_AT_TOGETHER = 64
"""Tokens."""


class Sightings:
    """What the wide part has seen of one text.

    N-grams that count wherever they stand, or near the beginning, stay seen. Those near the end are looked up in
    the last tokens whenever the evidence is asked for.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        kinds = evidence.kinds
        self._staying = [kind for kind in kinds if not kind.end]
        self._ending = [kind for kind in kinds if kind.end]
        self._reach = max((kind.offsets[-1] for kind in self._staying), default=0)
        self._longest = max([self._reach, *(kind.end for kind in self._ending)])
        self._seen = np.empty(0, np.int32)
        self._last = np.empty(0, np.int32)
        self._looked_at = 0
        self._waiting: list[Ids] = []
        self.read = 0

    def feed(self, ids: Ids) -> None:
        """Reads on. Tokens are looked at some at a time, which takes little longer than one."""
        self._waiting.append(ids)
        self.read += len(ids)
        if self.read - self._looked_at >= LOOKED_AT_TOGETHER:
            self._look()

    def arrays(self) -> dict[str, Ids]:
        """`seen`, the n-grams that stay seen, rising, and `last`, the last tokens: what `restore` takes."""
        self._look()
        return {"seen": self._seen, "last": self._last}

    def restore(self, seen: Ids, last: Ids, read: int) -> None:
        """Goes on from `arrays` taken after `read` tokens. Raises `ValueError` for what they can't be."""
        if len(last) > min(self._longest, read) or (len(last) and last.min() < 0):
            raise ValueError("the last tokens are none")
        if len(seen) and (seen[0] < 0 or seen[-1] >= NUMBERS or (np.diff(seen) <= 0).any()):
            raise ValueError("the n-grams do not rise")
        if not self._evidence.among[seen].all():
            raise ValueError("the model does not know these n-grams")
        self._seen, self._last, self.read, self._looked_at = seen, last, read, read

    def _look(self) -> None:
        if not self._waiting:
            return
        ids = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting = []
        window = np.concatenate([self._last[len(self._last) - min(self._reach, len(self._last)) :], ids])
        found = self._numbers(window, self._staying, self.read - len(window))
        if len(found):
            self._seen = np.union1d(self._seen, found)
        self._last = np.concatenate([self._last, ids])[-self._longest :]
        self._looked_at = self.read

    def evidence(self) -> npt.NDArray[np.float32]:
        """[1, logits] what the n-grams of all that was read add."""
        self._look()
        near_the_end = self._numbers(self._last, self._ending, 0)
        return self._evidence.of_numbers(np.union1d(self._seen, near_the_end).astype(np.int32))

    def _numbers(self, ids: Ids, kinds: Sequence[Kind], before: int) -> npt.NDArray[np.int32]:
        found = [of.number for of in occurrences([ids], kinds, self._evidence.among, before=before)]
        return np.concatenate(found).astype(np.int32) if found else np.empty(0, np.int32)
