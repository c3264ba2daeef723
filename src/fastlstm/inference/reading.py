"""A text's ids that come in pieces -> probabilities of all so far: the state of the layers, pooling and n-grams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastlstm.inference.sightings import Sightings

if TYPE_CHECKING:
    from fastlstm.inference.network import Network

FloatArray = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]
MOST_READ = 1 << 40
"""Tokens of a text: as many as the kernel counts."""


class Reading:
    """One text read forward, piece by piece."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._state = np.zeros((1, network.features.state), np.float32)
        self._count = np.zeros(1, np.int64)
        self._features: FloatArray | None = None
        self._seen = None if network.wide is None else Sightings(network.wide)

    @property
    def read(self) -> int:
        """Tokens so far."""
        return int(self._count[0])

    def feed(self, ids: Ids) -> None:
        """Reads on; at least one token."""
        self._features = self._network.features.pieces([ids], self._state, self._count)
        if self._seen is not None:
            self._seen.feed(ids)

    def probabilities(self) -> FloatArray:
        """[classes], after at least one token."""
        assert self._features is not None
        evidence = None if self._seen is None else self._seen.evidence()
        row: FloatArray = self._network.scored(self._features, evidence)[0]
        return row

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What to keep."""
        kept: dict[str, npt.NDArray[np.generic]] = {"state": self._state[0]}
        if self._seen is not None:
            kept |= self._seen.arrays()
        return kept

    def restore(self, read: int, sizes: Mapping[str, int], body: bytes) -> None:
        """Goes on from what was kept. Raises `ValueError` for what can't have been, and is then of no use."""
        if list(sizes) != list(self.arrays()) or sum(sizes.values()) * 4 != len(body) or min(sizes.values()) < 0:
            raise ValueError("its arrays are not those of this model")
        if not 0 <= read <= MOST_READ or sizes["state"] != self._state.shape[1]:
            raise ValueError("its numbers are not those of this model")
        at = 0
        found: dict[str, bytes] = {}
        for name, size in sizes.items():
            found[name] = body[at : at + 4 * size]
            at += 4 * size
        self._state[0] = np.frombuffer(found["state"], np.float32)
        self._count[0] = read
        if read:
            self._features = self._network.features.of_state(self._state, read)
        if self._seen is not None:
            seen, last = (np.frombuffer(found[name], np.int32) for name in ("seen", "last"))
            self._seen.restore(seen, last, read)
