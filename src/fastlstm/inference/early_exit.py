"""Texts read stage by stage, and no further than their answers need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.inference.network import Network
from fastlstm.serialization.early_exit import ExitThreshold
from fastlstm.text.batches import lengths_of
from fastlstm.text.tokenizer import TokenizedTexts

SettledTexts = Callable[[int, IndexArray, FloatArray], npt.NDArray[np.bool_]]
"""The number of a stage, which texts have been read that far, and their probabilities -> which are settled."""


@dataclass(frozen=True)
class EarlyPredictions:
    """`probabilities` float32 [n, classes] when reading stopped; `read` [n] tokens read, of `tokens` [n]."""

    probabilities: FloatArray
    read: IndexArray
    tokens: IndexArray

    @property
    def saved(self) -> float:
        """The share of all texts' tokens that was not read."""
        total = int(self.tokens.sum())
        return 1 - int(self.read.sum()) / total if total else 0.0


def predict_in_stages(
    network: Network, texts: TokenizedTexts, stages: Sequence[int], settled: SettledTexts
) -> EarlyPredictions:
    """Reads texts from stage to stage, those that are settled no further, the others to their ends.

    What the wide part has to say, it says at once, of the whole texts. A text that is read to its end has the bits
    that reading it whole gives. Models of one direction only.
    """
    lengths = lengths_of(texts.ids)
    evidence = None if network.wide is None else network.wide(texts.ids if texts.whole is None else texts.whole)
    states = np.zeros((len(lengths), network.features.state), np.float32)
    read = np.zeros(len(lengths), np.int64)
    answers: FloatArray | None = None
    going = np.arange(len(lengths))
    for number, stage in enumerate([*stages, int(lengths.max(initial=0))]):
        if not len(going):
            break
        pieces = [texts.ids[k][read[k] : stage] for k in going]
        before, counts = states[going], read[going]
        features = network.features.pieces(pieces, before, counts)
        states[going], read[going] = before, counts
        probabilities = network.scored(features, None if evidence is None else evidence[going])
        if answers is None:
            answers = np.empty((len(lengths), probabilities.shape[1]), np.float32)
        answers[going] = probabilities
        ended = lengths[going] <= stage
        if number < len(stages):
            ended |= settled(number, going, probabilities)
        going = going[~ended]
    assert answers is not None, "callers have a text"
    return EarlyPredictions(answers, read, lengths)


def group_by_threshold(bar: ExitThreshold, choose: Callable[[FloatArray], IndexArray]) -> SettledTexts:
    """Settled is what the predicted class is as probable as the bar says. `choose`: rows -> the predicted class."""

    def settled(number: int, going: IndexArray, probabilities: FloatArray) -> npt.NDArray[np.bool_]:
        del going
        predicted = probabilities[np.arange(len(probabilities)), choose(probabilities)]
        sure: npt.NDArray[np.bool_] = predicted >= np.float32(bar.probabilities[number])
        return sure

    return settled
