"""Train the bundled English language model, and an LSTM classifier of IMDb's reviews, from start to end.

    python recipes/english_encoder.py IMDB_FOLDER WORK_FOLDER

IMDB_FOLDER contains train.parquet, test.parquet and unsupervised.parquet. Each stage saves its model in WORK_FOLDER and
is skipped if the model exists; an interrupted stage resumes from its checkpoint. The stages:

1. Train a language model on the training reviews, without their labels, and on the unlabelled reviews.
2. Train a backward language model and combine the two.
3. Fine-tune a bidirectional teacher on 90% of the training reviews; the others select its epoch.
4. Distil a forward student from the teacher's probabilities on all of these texts. It is a teacher of
   `english_sentiment.py`.
5. Quantize the language model, and save it as the package's bundled one.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import fastlstm
from bundled_model import BUNDLED, STORAGE
from fastlstm.cli.progress import Display
from fastlstm.data.datasets import load_imdb
from fastlstm.language_model.corpus import load_corpus
from fastlstm.language_model.inference import LanguageModel
from fastlstm.nn.runs import checkpoint_path
from fastlstm.pretrained import ENGLISH_ENCODER
from fastlstm.serialization.language_model import write_language_model
from fastlstm.serialization.quantization import round_weights
from sentiment_card import encoder_card
from stages import run_stage, stage_seconds

HELD_OUT_FRACTION = 0.01
"""Fraction of the language model's texts on which its perplexity is measured."""

LANGUAGE_MODEL: dict[str, Any] = {"learning_rate": 3e-3, "input_dropout": 0.1, "weight_dropout": 0.1}
FORWARD: dict[str, Any] = {**LANGUAGE_MODEL, "hidden_sizes": (1024,), "epochs": 4, "output_dropout": 0.15}
BACKWARD: dict[str, Any] = {**LANGUAGE_MODEL, "direction": "both", "epochs": 2, "output_dropout": 0.1}
TEACHER: dict[str, Any] = {"epochs": 4, "learning_rate": 7e-4}
VALIDATION = 0.1
"""Fraction of the labelled reviews that selects the epochs of teacher and student."""
STUDENT: dict[str, Any] = {
    "vocabulary_size": 20_000,
    "embedding_size": 96,
    "hidden_sizes": (384,),
    "pretraining_epochs": 1,
    "epochs": 5,
    "ngrams": 100_000,
}
ENCODER_WORDS = 20_000
"""Vocabulary size of the bundled language model: one third smaller files, for 1% more unknown words."""


def main() -> None:
    """Run the stages whose models do not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    data_dir, work, device = arguments.data_dir, arguments.work, arguments.device
    # The training split only: no stage reads a test text.
    reviews = load_imdb(data_dir).train
    with Display(sys.stderr) as display:

        def train_language_model(name: str, **options: Any) -> None:
            common = {
                "validation": HELD_OUT_FRACTION,
                "data_dir": data_dir,
                "device": device,
                "watch": display.show_language_model,
            }
            run_stage(
                work / name,
                lambda out: fastlstm.train_language_model(
                    "imdb", out, resume=checkpoint_path(out).is_file(), **common, **options
                ),
            )

        def train_classifier(name: str, **options: Any) -> None:
            common = {"validation": VALIDATION, "data_dir": data_dir, "device": device, "watch": display.show}
            run_stage(
                work / name,
                lambda out: fastlstm.train(
                    reviews, out, resume=checkpoint_path(out).is_file(), **common, **options
                ),
            )

        train_language_model("language-model", **FORWARD)
        train_language_model("both-directions", encoder=work / "language-model", **BACKWARD)
        train_classifier("teacher", preset="accurate", encoder=work / "both-directions", baseline=False, **TEACHER)
        train_classifier("student", preset="small", teacher=work / "teacher", unlabelled="imdb", **STUDENT)
    bundle_encoder(work / "language-model", data_dir)


def bundle_encoder(folder: Path, data_dir: Path) -> None:
    """Reduce the vocabulary of the language model in `folder`, quantize and evaluate it, and save it in the package."""
    held_out = load_corpus("imdb", HELD_OUT_FRACTION, data_dir=data_dir).validation
    encoder = fastlstm.load_language_model(folder).reduce_vocabulary(ENCODER_WORDS)
    weights = round_weights(encoder.saved.weights, STORAGE)
    evaluation = LanguageModel(dataclasses.replace(encoder.saved, weights=weights)).evaluate(held_out.texts)
    results = {"evaluated_on": held_out.source, **evaluation.to_json()}
    saved = dataclasses.replace(
        encoder.saved, training={**encoder.saved.training, "storage": STORAGE, "results": results}
    )
    card = encoder_card(saved, stage_seconds(folder.parent)[folder.name])
    write_language_model(saved, BUNDLED / ENGLISH_ENCODER, card=card, extras={}, storage=STORAGE)
    print(card)


if __name__ == "__main__":
    main()
