"""A classifier that has learned when a text need not be read on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fastlstm.fit.events import Note
from fastlstm.inference import Classifier
from fastlstm.training.early_exit import learn_early_exit

TOLD = 0.99
"""The agreement of which a run tells what it saves."""


def with_early_exit(classifier: Classifier, texts: Sequence[str]) -> tuple[Classifier, Note]:
    """The same classifier, and what there is to say; one that reads in both directions stays as it is."""
    model = classifier.model
    if model.config.bidirectional:
        return classifier, Note("no early exit: the model reads in both directions")
    encoded = classifier.encode(texts)
    learned = learn_early_exit(classifier.network, encoded, classifier.choose, model.config.max_tokens)
    bar = learned.bar(TOLD)
    said = (
        f"early exit, learned on {learned.texts:,} texts: to have {TOLD:.0%} of the answers of whole texts, "
        f"{bar.saved:.0%} of the tokens there need not be read; {bar.disagreement:.2%} of the answers are others"
    )
    return Classifier(dataclasses.replace(model, early_exit=learned)), Note(said)
