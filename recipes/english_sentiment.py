"""The bundled English sentiment model and the encoder under it, from IMDb's reviews, start to end.

    python recipes/english_sentiment.py IMDB_FOLDER WORK_FOLDER

IMDB_FOLDER holds train.parquet, test.parquet and unsupervised.parquet. Every stage keeps its model in WORK_FOLDER
and is passed over when it is there; one that was cut off goes on from its checkpoint. The stages:

1. a language model of the training reviews, without their labels, and of the unlabelled ones;
2. the same with a second one beside it that reads backward;
3. from these a teacher of both directions, fine-tuned on 90% of the training reviews, others choosing its epoch;
4. a student that reads forward only, and learns the teacher's probabilities on all of these texts;
5. language model and student are rounded and put where the package bundles its models, and the student is scored on
   the test split, once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastlstm
from fastlstm.cli.progress import Display
from fastlstm.data.datasets import load_imdb
from fastlstm.data.splits import load_splits
from fastlstm.language_model.corpus import read_training_texts, read_validation_texts
from fastlstm.language_model.inference import LanguageModel
from fastlstm.nn.runs import checkpoint_path
from fastlstm.pretrained import DEFAULT_CLASSIFIER, ENGLISH_ENCODER
from fastlstm.serialization.folder import CARD, CONFIG
from fastlstm.serialization.language_model import write_language_model
from fastlstm.serialization.quantization import round_weights
from fastlstm.training.early_exit import add_early_exit
from scoring import score
from sentiment_card import encoder_card, sentiment_card

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))


ROOT = Path(__file__).resolve().parents[1]
BUNDLED = ROOT / "src" / "fastlstm" / "models"
STORAGE = "int8"
NAME = "the bundled English sentiment model"
HELD_OUT = 0.01
"""Of the language model's texts, what its perplexity is measured on."""

LANGUAGE_MODEL: dict[str, Any] = {"learning_rate": 3e-3, "input_dropout": 0.1, "weight_dropout": 0.1}
FORWARD: dict[str, Any] = {**LANGUAGE_MODEL, "hidden_sizes": (1024,), "epochs": 4, "output_dropout": 0.15}
BACKWARD: dict[str, Any] = {**LANGUAGE_MODEL, "direction": "both", "epochs": 2, "output_dropout": 0.1}
TEACHER: dict[str, Any] = {"epochs": 4, "learning_rate": 7e-4}
VALIDATION = 0.1
"""Of the labelled reviews, what chooses among teacher's and student's epochs, and teaches early exit."""
STUDENT: dict[str, Any] = {
    "vocabulary_size": 20_000,
    "embedding_size": 96,
    "hidden_sizes": (384,),
    "bidirectional": False,
    "pretraining_epochs": 1,
    "epochs": 5,
    "adversarial": 0.0,
    "ngrams": 100_000,
}
STAGES = "language-model", "both-directions", "teacher", "student"
ENCODER_WORDS = 20_000
"""What the bundled language model's vocabulary is cut to: a third less to ship, for 1% more of unknown words."""


def main() -> None:
    """Makes what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    data_dir, work, device = arguments.data_dir, arguments.work, arguments.device
    # The training split alone, as records: no stage before the last sees a test text.
    reviews = load_imdb(data_dir).train
    with Display(sys.stderr) as display:

        def read(name: str, **options: Any) -> None:
            of = {"validation": HELD_OUT, "data_dir": data_dir, "device": device, "watch": display.show_pretraining}
            stage(
                work / name,
                lambda out, resume: fastlstm.train_language_model("imdb", out, resume=resume, **of, **options),
            )

        def learn(name: str, **options: Any) -> None:
            of = {"validation": VALIDATION, "data_dir": data_dir, "device": device, "watch": display.show}
            stage(work / name, lambda out, resume: fastlstm.train(reviews, out, resume=resume, **of, **options))

        read("language-model", **FORWARD)
        read("both-directions", begin=work / "language-model", **BACKWARD)
        learn("teacher", preset="accurate", encoder=work / "both-directions", baseline=False, **TEACHER)
        learn("student", preset="small", teacher=work / "teacher", unlabelled="imdb", **STUDENT)
    bundle_encoder(work / "language-model", data_dir)
    bundle_classifier(work, data_dir)


def bundle_encoder(made: Path, data_dir: Path) -> None:
    """Puts the language model into the package, of fewer words, rounded, and measured anew."""
    _, held_out = read_validation_texts(read_training_texts("imdb", data_dir=data_dir), HELD_OUT)
    encoder = fastlstm.load_language_model(made).of_vocabulary(ENCODER_WORDS)
    weights = round_weights(encoder.model.weights, STORAGE)
    measured = LanguageModel(dataclasses.replace(encoder.model, weights=weights)).evaluate(held_out.texts)
    results = {"measured_on": held_out.source, **measured.to_json()}
    saved = dataclasses.replace(
        encoder.model, training={**encoder.model.training, "storage": STORAGE, "results": results}
    )
    card = encoder_card(saved, seconds_of(made))
    write_language_model(saved, BUNDLED / ENGLISH_ENCODER, card=card, extras={}, storage=STORAGE)
    print(card)


def bundle_classifier(work: Path, data_dir: Path) -> None:
    """Puts the student into the package, rounded, with what it scores on the test split as its figures."""
    student = fastlstm.load(work / "student")
    with tempfile.TemporaryDirectory() as temporary:
        rounded_student = Path(temporary, "model")
        student.save(rounded_student, storage=STORAGE)
        scored = score(rounded_student, data_dir, NAME)
        model = fastlstm.load(rounded_student)
        size = sum(file.stat().st_size for file in rounded_student.iterdir())
    results = {name: scored[name] for name in ("accuracy", "loss", "macro_f1", "calibration_error", "texts")}
    record = {
        **model.model.training,
        "results": {"evaluated_on": "IMDb test, the official split, scored once", **results},
        "baseline": None,
    }
    held_out = load_splits("imdb", data_dir=data_dir, validation=VALIDATION).validation
    bundled, note = add_early_exit(
        fastlstm.Classifier(dataclasses.replace(model.model, training=record)), held_out.texts
    )
    print(note.text)
    costs = {name: seconds_of(work / name) for name in STAGES}
    card = sentiment_card(bundled, scored, costs, size)
    folder = BUNDLED / DEFAULT_CLASSIFIER
    bundled.save(folder, storage=STORAGE, overwrite=True, extras={CARD: card.encode()})
    print(card)


def seconds_of(folder: Path) -> float:
    """How long the model there was trained."""
    epochs = json.loads((folder / "history.json").read_bytes())
    return sum(float(epoch["seconds"]) for epoch in epochs)


def stage(out: Path, make: Callable[[Path, bool], object]) -> None:
    """Makes `out` unless it is there, from its checkpoint if there is one."""
    if not (out / CONFIG).is_file():
        make(out, checkpoint_path(out).is_file())


if __name__ == "__main__":
    main()
