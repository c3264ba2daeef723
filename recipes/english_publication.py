"""Quantize and measure the English student, and save it as the package's bundled model."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import fastlstm
from fastlstm.pretrained import DEFAULT_CLASSIFIER
from fastlstm.serialization.folder import CARD
from fastlstm.training.early_exit import add_early_exit
from results import BUNDLED_ENGLISH
from scored import Scored
from scoring import score
from sentiment_card import IMDB_ORIGIN, Figure, Origin, imdb_figures, sentiment_card

BUNDLED = Path(__file__).resolve().parents[1] / "src" / "fastlstm" / "pretrained"
STORAGE = "int8"
OTHER_ORIGINS = """
SST-2: phrases of the Stanford Sentiment Treebank (Socher et al. 2013), made from Rotten Tomatoes reviews. A tenth of
its whole sentences, chosen by a hash, is held out with all their phrases: the official test split has no public
labels. Held-out sentences that differ from a training text in case and punctuation alone, such as "Thank you!", are
not measured. GoEmotions: Reddit comments (Demszky et al. 2020, Apache 2.0). Rated sentences: from product reviews,
tweets and editorials, each rated by 20 people (Hutto & Gilbert 2014, MIT). Generated sentences:
`recipes/english_sentences.py`. Sentences were labelled by {teachers} (Apache 2.0), fine-tuned on them, and reviews
by an LSTM of `recipes/english_encoder.py`. Whether the terms of these data sets fit your use is for you to check."""


def publish(
    student: Path,
    measured: Mapping[str, Scored],
    validation: Sequence[str],
    imdb: Path,
    teachers: Sequence[str],
    seconds: Mapping[str, float],
    numbers: Mapping[str, int],
) -> None:
    """Save the quantized student in the package, with its card.

    Args:
        student: Folder of the student.
        measured: Held-out sentences, by name.
        validation: Texts that fit early exit.
        imdb: Folder of IMDb; its test split is scored once.
        teachers: Names of the transformers that labelled sentences.
        seconds: Training time of each stage.
        numbers: Number of training texts of each kind.
    """
    with tempfile.TemporaryDirectory() as temporary:
        quantized = Path(temporary, "model")
        fastlstm.load(student).save(quantized, storage=STORAGE)
        scoring = score(quantized, imdb, BUNDLED_ENGLISH, publish=True)
        model = fastlstm.load(quantized)
        size = sum(file.stat().st_size for file in quantized.iterdir())
    results = {name: scoring[name] for name in ("accuracy", "loss", "macro_f1", "calibration_error", "texts")}
    record = {
        **model.saved.training,
        "results": {"evaluated_on": "IMDb test, the official split, scored once", **results},
        "baseline": None,
    }
    recorded = fastlstm.Classifier(dataclasses.replace(model.saved, training=record))
    bundled, note = add_early_exit(recorded, list(validation))
    print(note.text)
    reports = {name: bundled.evaluate(texts.dataset(name)) for name, texts in measured.items()}
    for name, report in reports.items():
        print(f"{name}: {json.dumps(report.to_json())}")
    figures = {
        "Texts held out": [
            Figure("reviews: IMDb test split", scoring["texts"], scoring["accuracy"], scoring["calibration_error"]),
            *(Figure(name, r.texts, r.accuracy, r.calibration_error) for name, r in reports.items()),
        ],
        **imdb_figures(scoring),
    }
    others = OTHER_ORIGINS.format(teachers=" and ".join(teachers))
    origin = Origin("recipes/english_sentiment.py", IMDB_ORIGIN + "\n" + others, seconds, numbers, size)
    card = sentiment_card(bundled, DEFAULT_CLASSIFIER, "english", figures, origin)
    bundled.save(BUNDLED / DEFAULT_CLASSIFIER, storage=STORAGE, overwrite=True, extras={CARD: card.encode()})
    print(card)
