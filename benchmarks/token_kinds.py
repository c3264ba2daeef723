"""Compare words, characters and subwords as tokens of the small preset, on validation texts.

    python benchmarks/token_kinds.py DATA_FOLDER [--only Thai "Chinese reviews"] [--seeds 0 1]

Training and validation texts come from the training pool of `default_data.py`; its held-out texts are not read. The
model reads in one direction. TF-IDF of character n-grams with logistic regression has the same texts.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import machine
from default_data import DATA_SETS, Text
from fastlstm.config import preset
from fastlstm.data import Dataset
from fastlstm.errors import OptionError
from fastlstm.training.evaluation import calibrate_model
from fastlstm.training.prepare import PreparedRun, prepare

ROWS = {"Thai": 20_000, "Chinese reviews": 10_000, "Chinese topics": 10_000, "AG News": 10_000, "SST-2": 20_000}
"""Training texts, at most."""
VARIANTS: dict[str, tuple[str, int]] = {
    "words": ("words", 30_000),
    "characters": ("characters", 30_000),
    "bpe 8,000": ("bpe", 8_000),
    "bpe 16,000": ("bpe", 16_000),
    "bpe 30,000": ("bpe", 30_000),
    "unigram 4,000": ("unigram", 4_000),
    "unigram 8,000": ("unigram", 8_000),
    "unigram 16,000": ("unigram", 16_000),
    "unigram 30,000": ("unigram", 30_000),
}
"""Tokens and vocabulary size, at most."""
BASELINE = "TF-IDF, characters 1-4"


def main() -> None:
    """Train every variant on every data set, print each result and the means, and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="DATA_SET")
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS, BASELINE], choices=[*VARIANTS, BASELINE])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()

    runs: list[dict[str, Any]] = []
    for name in arguments.only:
        data = DATA_SETS[name](arguments.data_folder)
        for seed in arguments.seeds:
            training, validation = data.sample(ROWS[name], seed, development=True)
            for variant in arguments.variants:
                measured = (
                    baseline(training, validation)
                    if variant == BASELINE
                    else train(training, validation, variant, seed)
                )
                runs.append({"data": name, "rows": len(training), "variant": variant, "seed": seed, **measured})
                print(runs[-1], flush=True)
    for name in arguments.only:
        for variant in arguments.variants:
            found = [run["accuracy"] for run in runs if (run["data"], run["variant"]) == (name, variant)]
            print(f"{name:16} {variant:24} {statistics.mean(found):.2%}")
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    print(machine.save("token_kinds", packages, {"runs": runs}, publish=arguments.publish))


def train(training: list[Text], validation: list[Text], variant: str, seed: int) -> dict[str, Any]:
    """Train the preset with these tokens, and return its metrics on the validation texts."""
    started = time.perf_counter()
    prepared = prepare_variant(dataset(training), dataset(validation), variant, seed)
    for _ in prepared.epochs():
        pass
    report = calibrate_model(prepared).after
    return {
        "accuracy": report.accuracy,
        "loss": report.loss,
        "vocabulary": prepared.model_config.vocabulary_size,
        "tokens_per_text": statistics.mean(map(len, prepared.training.texts)),
        "seconds": time.perf_counter() - started,
    }


def prepare_variant(training: Dataset, validation: Dataset, variant: str, seed: int) -> PreparedRun:
    """Prepare a run; the vocabulary is smaller if the texts have fewer tokens."""
    small = preset("small")
    tokens, size = VARIANTS[variant]
    fields: dict[str, Any] = {"tokens": tokens, "vocabulary_size": size}
    config = dataclasses.replace(small.training, seed=seed)
    model = dataclasses.replace(small.model, **fields)
    try:
        return prepare(training, validation, model, config, cap_vocabulary=False)
    except OptionError as error:
        model = dataclasses.replace(model, vocabulary_size=error.words)
        return prepare(training, validation, model, config, cap_vocabulary=False)


def baseline(training: list[Text], validation: list[Text]) -> dict[str, Any]:
    """Return the accuracy of the linear model, with the best of three penalties on the validation texts."""
    started = time.perf_counter()
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True)
    features = vectorizer.fit_transform([text for text, _ in training])
    further = vectorizer.transform([text for text, _ in validation])
    scores = [
        LogisticRegression(C=inverse_penalty, max_iter=300)
        .fit(features, [label for _, label in training])
        .score(further, [label for _, label in validation])
        for inverse_penalty in (1.0, 3.0, 10.0)
    ]
    return {"accuracy": max(scores), "seconds": time.perf_counter() - started}


def dataset(texts: list[Text]) -> Dataset:
    """Return texts with their labels as strings."""
    return Dataset([text for text, _ in texts], [str(label) for _, label in texts])


if __name__ == "__main__":
    main()
