"""The bundled English sentiment model and the encoder under it, from IMDb's reviews, start to end.

    python recipes/english_sentiment.py IMDB_FOLDER WORK_FOLDER

IMDB_FOLDER holds train.parquet, test.parquet and unsupervised.parquet. Every stage keeps its model in WORK_FOLDER
and is passed over when it is there; one that was cut off goes on from its checkpoint. The stages:

1. a language model of the training reviews, without their labels, and of the unlabelled ones;
2. a teacher, fine-tuned from it on 90% of the training reviews, the others choosing the epoch;
3. a student that reads forward only: it learns the teacher's probabilities on all of these texts;
4. both are rounded and put where the package bundles its models, and the student is scored on the test split, once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import fastlstm
from fastlstm import saved_language_model
from fastlstm.cli.progress import Display
from fastlstm.datasets import load_imdb
from fastlstm.fit.job import checkpoint_of
from fastlstm.inference.language_card import language_card
from fastlstm.model_folder import CONFIG
from fastlstm.models import DEFAULT_MODEL, ENGLISH_ENCODER
from scoring import score

ROOT = Path(__file__).resolve().parents[1]
BUNDLED = ROOT / "src" / "fastlstm" / "models"

LANGUAGE_MODEL: dict[str, Any] = {
    "hidden_sizes": (1024,),
    "epochs": 4,
    "learning_rate": 3e-3,
    "input_dropout": 0.1,
    "weight_dropout": 0.1,
    "output_dropout": 0.15,
}
TEACHER: dict[str, Any] = {"epochs": 4, "learning_rate": 7e-4}
STUDENT: dict[str, Any] = {
    "vocabulary_size": 30_000,
    "embedding_size": 96,
    "hidden_sizes": (256,),
    "bidirectional": False,
    "pretraining_epochs": 1,
    "epochs": 3,
}


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
        stage(
            work / "language-model",
            lambda out, resume: fastlstm.pretrain(
                "imdb",
                out,
                data_dir=data_dir,
                device=device,
                resume=resume,
                watch=display.show_pretraining,
                **LANGUAGE_MODEL,
            ),
        )
        stage(
            work / "teacher",
            lambda out, resume: fastlstm.train(
                reviews,
                out,
                preset="accurate",
                encoder=work / "language-model",
                validation=0.1,
                device=device,
                resume=resume,
                baseline=False,
                watch=display.show,
                **TEACHER,
            ),
        )
        stage(
            work / "student",
            lambda out, resume: fastlstm.train(
                reviews,
                out,
                preset="small",
                teacher=work / "teacher",
                unlabelled="imdb",
                data_dir=data_dir,
                device=device,
                resume=resume,
                watch=display.show,
                **STUDENT,
            ),
        )
    fastlstm.load(work / "student").save(BUNDLED / DEFAULT_MODEL, storage="float16", overwrite=True)
    encoder = saved_language_model.read(work / "language-model")
    saved_language_model.write(
        encoder, BUNDLED / ENGLISH_ENCODER, card=language_card(encoder), extras={}, storage="int8"
    )
    print(score(BUNDLED / DEFAULT_MODEL, data_dir, "the bundled English sentiment model"))


def stage(out: Path, make: Callable[[Path, bool], object]) -> None:
    """Makes `out` unless it is there, from its checkpoint if there is one."""
    if not (out / CONFIG).is_file():
        make(out, checkpoint_of(out).is_file())


if __name__ == "__main__":
    main()
