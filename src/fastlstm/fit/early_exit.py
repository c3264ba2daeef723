"""A classifier that has learned when a text need not be read on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.batches import lengths_of
from fastlstm.fit.events import Note
from fastlstm.inference import Classifier
from fastlstm.inference.early import read_by_stages
from fastlstm.training.early_exit import Course, learn_early_exit

STAGES = (10, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400, 500, 650, 800)
"""Tokens after which an answer is looked at."""
TOLD = 0.99
"""The agreement of which a run tells what it saves."""


def with_early_exit(classifier: Classifier, texts: Sequence[str]) -> tuple[Classifier, Note]:
    """The same classifier, and what there is to say; one that reads in both directions stays as it is."""
    model = classifier.model
    if model.config.bidirectional:
        return classifier, Note("no early exit: the model reads in both directions")
    learned = learn_early_exit(course_of(classifier, texts))
    bar = learned.bar(TOLD)
    said = (
        f"early exit, learned on {learned.texts:,} texts: to have {TOLD:.0%} of the answers of whole texts, "
        f"{bar.saved:.0%} of the tokens there need not be read; {bar.disagreement:.2%} of the answers are others"
    )
    return Classifier(dataclasses.replace(model, early_exit=learned)), Note(said)


def course_of(classifier: Classifier, texts: Sequence[str]) -> Course:
    """What a classifier of one direction says of texts at each stage that is no longer than what it reads."""
    encoded, most = classifier.encode(texts), classifier.model.config.max_tokens
    stages = tuple(stage for stage in STAGES if stage < most) or (most,)
    lengths = lengths_of(encoded.ids)
    predicted = np.zeros((len(lengths), len(stages)), np.int64)
    probability = np.full((len(lengths), len(stages)), -1, np.float32)

    def watch(
        number: int, going: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.bool_]:
        chosen = classifier.choose(probabilities)
        predicted[going, number] = chosen
        probability[going, number] = probabilities[np.arange(len(going)), chosen]
        return np.zeros(len(going), np.bool_)

    whole = classifier.choose(read_by_stages(classifier.network, encoded, stages, watch).probabilities)
    return Course(stages, predicted, probability, whole, lengths)
