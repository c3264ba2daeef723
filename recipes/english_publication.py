"""Quantize and measure the English student, and save it as the package's bundled model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import fastlstm
from bundled_model import quantize, save_bundled
from fastlstm.pretrained import DEFAULT_CLASSIFIER
from probes import ENGLISH
from results import BUNDLED_ENGLISH
from scored import Scored
from scoring import score
from sentiment_card import IMDB_ORIGIN, Figure, Origin, imdb_figures

EVALUATED_ON = "IMDb test, the official split, scored once"
OTHER_ORIGINS = """
SST-2: phrases of the Stanford Sentiment Treebank (Socher et al. 2013), made from Rotten Tomatoes reviews. A tenth of
its whole sentences, chosen by a hash, is held out with all their phrases: the official test split has no public
labels. Held-out sentences that differ from a training text in case and punctuation alone, such as "Thank you!", are
not measured. GoEmotions: Reddit comments (Demszky et al. 2020, Apache 2.0). Rated sentences: from product reviews,
tweets and editorials, each rated by 20 people (Hutto & Gilbert 2014, MIT). Generated sentences:
`recipes/english_sentences.py`. Sentences were labelled by {teachers} (Apache 2.0), fine-tuned on them, and reviews
by an LSTM of `recipes/english_encoder.py`. The vectors in `words.vec` are those that {vectors} has for
single words. Whether the terms of these data sets fit your use is for you to check."""


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
    quantized, size = quantize(student)
    scoring = score(quantized, imdb, BUNDLED_ENGLISH, publish=True)
    model = fastlstm.load(quantized)
    reports = {name: model.evaluate(texts.dataset(name)) for name, texts in measured.items()}
    for name, report in reports.items():
        print(f"{name}: {json.dumps(report.to_json())}")
    figures = {
        "Texts held out": [
            Figure("reviews: IMDb test split", scoring["texts"], scoring["accuracy"], scoring["calibration_error"]),
            *(Figure(name, r.texts, r.accuracy, r.calibration_error) for name, r in reports.items()),
        ],
        **imdb_figures(scoring),
    }
    others = OTHER_ORIGINS.format(teachers=" and ".join(teachers), vectors=teachers[-1])
    origin = Origin("recipes/english_sentiment.py", IMDB_ORIGIN + "\n" + others, seconds, numbers, size)
    save_bundled(model, DEFAULT_CLASSIFIER, ENGLISH, scoring, EVALUATED_ON, validation, figures, origin)
