"""Probabilities after each token of a text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.inference.explain.layers import Layers
from fastlstm.inference.network import Network

CHUNK_PREFIXES = 1024
"""Prefixes of the text per call of the network. It does not change the results."""


def trajectory(
    network: Network, layers: Layers | None, ids: TokenIds, truncate: Callable[[TokenIds], TokenIds]
) -> FloatArray:
    """Return the probabilities [T, classes] of each prefix of a text, as for a text of its own, to the last bit.

    Args:
        network: The network.
        layers: Its layers, if the features of a prefix are those of the whole text up to there: unidirectional models
            without padding, in float32. They then read the text once. None otherwise.
        ids: All token ids [T] of the text.
        truncate: Maps the token ids of a text to those that the LSTM reads.
    """
    features = layers.prefix_features(ids) if layers is not None and len(truncate(ids)) == len(ids) else None
    rows = []
    for start in range(0, len(ids), CHUNK_PREFIXES):
        stop = min(start + CHUNK_PREFIXES, len(ids))
        prefixes = [ids[: end + 1] for end in range(start, stop)]
        if features is None:
            rows.append(network.probabilities([truncate(prefix) for prefix in prefixes], prefixes))
        else:
            ngram_logits = None if network.ngram_logits is None else network.ngram_logits(prefixes)
            rows.append(network.to_probabilities(network.output_layer(features[start:stop], ngram_logits)))
    return np.concatenate(rows)
