"""The n-grams of a text that comes token by token: which were seen, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.ngrams import Evidence, Kind, occurrences

Ids = npt.NDArray[np.int32]


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
        self.seen = np.empty(0, np.int32)
        self.last = np.empty(0, np.int32)
        self.read = 0

    def feed(self, ids: Ids) -> None:
        """Reads on."""
        window = np.concatenate([self.last[len(self.last) - min(self._reach, len(self.last)) :], ids])
        before = self.read + len(ids) - len(window)
        found = self._numbers(window, self._staying, before)
        if len(found):
            self.seen = np.union1d(self.seen, found)
        self.last = np.concatenate([self.last, ids])[-self._longest :]
        self.read += len(ids)

    def evidence(self) -> npt.NDArray[np.float32]:
        """[1, logits] what the n-grams of all that was read add."""
        near_the_end = self._numbers(self.last, self._ending, 0)
        return self._evidence.of_numbers(np.union1d(self.seen, near_the_end).astype(np.int32))

    def _numbers(self, ids: Ids, kinds: Sequence[Kind], before: int) -> npt.NDArray[np.int32]:
        found = [of.number for of in occurrences([ids], kinds, self._evidence.among, before=before)]
        return np.concatenate(found).astype(np.int32) if found else np.empty(0, np.int32)
