"""How well a Chinese sentiment model reads reviews of a category that it was not trained on.

    pip install -e ".[train]" -r recipes/requirements.txt
    python benchmarks/held_out_category.py REVIEWS_FOLDER

REVIEWS_FOLDER contains train.parquet with the columns text, label and category. For each category, a model with the
settings of the bundled one is trained on the labels of the nine others and on the generated sentences of
recipes/chinese_sentences.py, without teachers, in simplified and traditional characters, and scored once on all reviews
of that category. For comparison: TF-IDF on characters with logistic regression, its C chosen on a fifth of the texts.
Finished categories are kept.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import fastlstm
import machine
from chinese_reviews import Review, load_reviews, texts_and_labels, unique
from chinese_sentiment import (
    CATEGORIES,
    STUDENT,
    SYNTHETIC,
    Parts,
    further_sentences,
    in_both_scripts,
    split_reviews,
)
from opponents import linear
from opponents.alternative import Task

NAME = "held_out_category"


def main() -> None:
    """Measure the missing categories, print the means and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("reviews", type=Path)
    arguments = parser.parse_args()
    reviews = load_reviews(arguments.reviews)
    path = machine.result_path(NAME, publish=arguments.publish)
    rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["categories"] if path.exists() else {}
    for category in CATEGORIES:
        if category in rows:
            continue
        rows[category] = {**measure(split_reviews(reviews, category)), "commit": machine.commit()}
        machine.save(NAME, ["fastlstm", "torch", "scikit-learn"], {"categories": rows}, publish=arguments.publish)
        print(category, json.dumps(rows[category]), flush=True)
    for method in ("fastlstm", "TF-IDF + LR"):
        print(f"{method}: {statistics.mean(row[method] for row in rows.values()):.2%} on average of {len(rows)}")
    print(path)


def measure(parts: Parts) -> dict[str, Any]:
    """Return the accuracy of both methods on the category held out."""
    generated = further_sentences(parts, None)[SYNTHETIC]
    texts, labels = texts_and_labels(in_both_scripts(unique([*parts.training, *generated])))
    with tempfile.TemporaryDirectory() as folder:
        model = fastlstm.train(
            fastlstm.Dataset(texts, labels), Path(folder, "model"), validation=_dataset(parts.validation), **STUDENT
        ).classifier
        accuracy = model.evaluate(_dataset(parts.test)).accuracy
        linear_model = linear.fit_tfidf(Task(texts, labels, True, 0, 1, Path(folder)))
    answers = linear_model.predict([review.text for review in parts.test])
    correct = [answer == review.label for answer, review in zip(answers, parts.test, strict=True)]
    return {"texts": len(parts.test), "fastlstm": accuracy, "TF-IDF + LR": statistics.mean(correct)}


def _dataset(reviews: Sequence[Review]) -> fastlstm.Dataset:
    return fastlstm.Dataset(*texts_and_labels(reviews))


if __name__ == "__main__":
    main()
