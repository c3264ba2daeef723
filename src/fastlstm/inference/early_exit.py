"""Early exit: read texts in stages, and stop reading a text once its prediction is probable enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import BoolArray, DoubleArray, FloatArray, IndexArray
from fastlstm.inference.network import Network
from fastlstm.serialization.early_exit import ExitThreshold
from fastlstm.text.batches import lengths_of
from fastlstm.text.tokenizer import TokenizedTexts

StopRule = Callable[[int, IndexArray, FloatArray], BoolArray]
"""(stage index, indices of the texts read up to it [n], their probabilities [n, classes]) -> which ones stop [n]."""


@dataclass(frozen=True)
class EarlyPredictions:
    """Predictions of texts that were read only as far as needed.

    Attributes:
        probabilities: float32 [n, classes], where reading stopped.
        tokens_read: int64 [n].
        token_counts: int64 [n], tokens of each text, after truncation.
        known: float64 [n], the fraction of known tokens, see `TokenizedTexts`.
    """

    probabilities: FloatArray
    tokens_read: IndexArray
    token_counts: IndexArray
    known: DoubleArray

    @property
    def saved_fraction(self) -> float:
        """The fraction of all tokens that were not read."""
        total = int(self.token_counts.sum())
        return 1 - int(self.tokens_read.sum()) / total if total else 0.0


def predict_in_stages(
    network: Network, texts: TokenizedTexts, stages: Sequence[int], should_stop: StopRule
) -> EarlyPredictions:
    """Read texts stage by stage until `should_stop` or their end. Unidirectional models only.

    N-grams are always those of the whole text. The probabilities of a text that is read to its end equal
    `Network.probabilities` to the last bit.

    Args:
        network: The model.
        texts: At least one text.
        stages: Increasing numbers of tokens after which reading may stop.
        should_stop: Called after each stage.
    """
    lengths = lengths_of(texts.ids)
    ngram_logits = None
    if network.ngram_logits is not None:
        ngram_logits = network.ngram_logits(texts.ids if texts.untruncated is None else texts.untruncated)
    states = np.zeros((len(lengths), network.features.state_size), np.float32)
    tokens_read = np.zeros(len(lengths), np.int64)
    result: FloatArray | None = None
    active = np.arange(len(lengths))
    for number, stage in enumerate([*stages, int(lengths.max(initial=0))]):
        if not len(active):
            break
        pieces = [texts.ids[k][tokens_read[k] : stage] for k in active]
        active_states, active_counts = states[active], tokens_read[active]
        features = network.features.advance(pieces, active_states, active_counts)
        states[active], tokens_read[active] = active_states, active_counts
        logits = network.output_layer(features, None if ngram_logits is None else ngram_logits[active])
        probabilities = network.to_probabilities(logits)
        if result is None:
            result = np.empty((len(lengths), probabilities.shape[1]), np.float32)
        result[active] = probabilities
        finished = lengths[active] <= stage
        if number < len(stages):
            finished |= should_stop(number, active, probabilities)
        active = active[~finished]
    assert result is not None, "expected at least one text"
    return EarlyPredictions(result, tokens_read, lengths, texts.known)


def stop_at(threshold: ExitThreshold, choose: Callable[[FloatArray], IndexArray]) -> StopRule:
    """Return the rule that stops a text when its predicted class reaches the stage's probability.

    `choose` maps probabilities [n, classes] to the predicted class indices [n].
    """

    def should_stop(stage: int, texts: IndexArray, probabilities: FloatArray) -> BoolArray:
        del texts
        predicted = probabilities[np.arange(len(probabilities)), choose(probabilities)]
        stop: BoolArray = predicted >= np.float32(threshold.probabilities[stage])
        return stop

    return should_stop
