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
        """Goes on from what was kept."""
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
            self._seen.restore(np.frombuffer(found["seen"], np.int32), np.frombuffer(found["last"], np.int32), read)
