"""Score a model on IMDb's official test split, with and without the texts that the training split also contains.

    python benchmarks/scoring.py IMDB_FOLDER MODEL NAME

Each scoring is logged as NAME, with date and commit, in benchmarks/local-results/scorings.jsonl, or with --publish in
benchmarks/results/scorings.jsonl. The same weights are never scored twice under one name.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
import machine
from fastlstm.data.datasets import load_imdb
from fastlstm.metrics import evaluate
from fastlstm.serialization.folder import CONFIG, WEIGHTS
from results import SCORINGS
from slices import ratings_of, slices


def main() -> None:
    """Score one model and print its log entry."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("name", help="how the model was trained, in a few words")
    arguments = parser.parse_args()
    entry = score(arguments.model, arguments.data_dir, arguments.name, publish=arguments.publish)
    print(json.dumps(entry, indent=2))


def score(folder: Path, data_dir: Path, name: str, *, precision: str = "float32", publish: bool) -> dict[str, Any]:
    """Score the model in `folder`, log the result as `name` and return the log entry.

    If these weights were already scored under that name, the earlier entry is returned. If the data has ratings, the
    entry contains the accuracy by length and by rating (`slices`).

    Args:
        folder: the saved model.
        data_dir: the folder of IMDb's files.
        name: configuration and seed of the model, in a few words.
        precision: as in `fastlstm.load`.
        publish: log in the published results; otherwise in the local ones.
    """
    log_path = SCORINGS if publish else machine.LOCAL_RESULTS / SCORINGS.name
    weights = json.loads((folder / CONFIG).read_bytes())["sha256"][WEIGHTS]
    lines = log_path.read_text(encoding="utf-8").splitlines() if log_path.exists() else []
    logged: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for entry in logged:
        if (entry["name"], entry.get("weights")) == (name, weights):
            return entry
    imdb, model = load_imdb(data_dir), fastlstm.load(folder, precision=precision)
    probabilities = model.predict_proba(imdb.test.texts)
    truth = imdb.test.label_indices(model.labels)
    training_texts = set(imdb.train.texts)
    unseen = np.array([text not in training_texts for text in imdb.test.texts])
    report = evaluate(probabilities, truth, model.labels)
    result = {
        "texts": report.texts,
        "accuracy": report.accuracy,
        "macro_f1": report.macro_f1,
        "loss": report.loss,
        "calibration_error": report.calibration_error,
        "repeated_texts": int((~unseen).sum()),
        "accuracy_without_repeated": evaluate(probabilities[unseen], truth[unseen], model.labels).accuracy,
        "by_length": [],
        "by_rating": [],
    }
    if (data_dir / "test.parquet").is_file():
        correct = probabilities.argmax(axis=1) == truth
        result |= slices(imdb.test.texts, correct, ratings_of(data_dir, imdb.test.texts))
    entry = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "name": name,
        "weights": weights,
        "precision": precision,
        **result,
    }
    log_path.parent.mkdir(exist_ok=True)
    with log_path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    return entry


if __name__ == "__main__":
    main()
