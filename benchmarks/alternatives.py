"""Alternatives to fastlstm on the same rows and cores: accuracy, size, texts per second, training time.

    pip install -r recipes/requirements.txt fasttext-community vaderSentiment snownlp
    python benchmarks/alternatives.py DATA_FOLDER [--rows 10000] [--sets "AG News" ...] [--methods fastText ...]

Methods, each with good settings (benchmarks/opponents/):
- fastText with the options of its tutorial, and TF-IDF with logistic regression whose C is chosen on a fifth;
- all-MiniLM-L6-v2 frozen, with logistic regression, and fine-tuned, in int8; both in ONNX Runtime, texts sorted by
  length, padded to the longest of a batch; English only;
- model2vec with logistic regression, if --model2vec names the folder of a model; English only;
- VADER and SnowNLP, which need no training, on two classes in English and Chinese;
- fastlstm: the default preset, and the bundled models on texts that they were not trained on.

SST-2 is phrases to train on and whole sentences to answer, with the split of recipes/sst2.py; Chinese reviews are split
as in recipes/chinese_reviews.py: the bundled models were not trained on these held-out texts. A method answers all
held-out texts in one call; the shortest of several calls is its speed. Finished cells are kept: a second call measures
what is missing. benchmarks/alternatives_report.py makes a table of the result.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch

import chinese_reviews as chinese
import default_data
import fastlstm
import machine
from default_data import DataSet
from fastlstm.pretrained import bundled_names, find_model
from opponents import default_preset, encoders, fasttext_model, lexicons, linear, transformer
from opponents.alternative import Fit, Fitted, Task
from opponents.lexicons import LABELS
from sst2 import load_treebank

NAME = "alternatives"
REPEATS = 3
ENGLISH, CHINESE = "english", "chinese"
PACKAGES = ("fastlstm", "torch", "scikit-learn", "onnxruntime", "transformers", "numpy", "tokenizers")


@dataclass(frozen=True)
class Source:
    """How a data set is read, its language, and whether its classes are negative and positive."""

    read: Callable[[Path], DataSet]
    language: str
    sentiment: bool


def treebank(folder: Path) -> DataSet:
    """Return the phrases of SST-2 to train on, and the whole sentences that are held out."""
    split = load_treebank(folder / "sst2")
    return DataSet(*(list(zip(part.texts, part.labels, strict=True)) for part in (split.training, split.held_out)))


def film_reviews(folder: Path) -> DataSet:
    """Return the training split of IMDb, of which a part is held out. The test split is not read."""
    data = default_data.plain(folder, "imdb")
    return DataSet(*([(text, LABELS[int(label)]) for text, label in part] for part in (data.pool, data.held_out)))


def chinese_reviews(folder: Path) -> DataSet:
    """Return positive and negative Chinese reviews of ten categories, a tenth of each held out."""
    parts = chinese.split(chinese.load_reviews(folder / "chinese_reviews"))
    return DataSet(*([(review.text, review.label) for review in part] for part in parts))


SOURCES: Mapping[str, Source] = {
    "SST-2": Source(treebank, ENGLISH, sentiment=True),
    "IMDb": Source(film_reviews, ENGLISH, sentiment=True),
    "AG News": Source(default_data.DATA_SETS["AG News"], ENGLISH, sentiment=False),
    "4 groups of emotions": Source(default_data.DATA_SETS["4 groups of emotions"], ENGLISH, sentiment=False),
    "Chinese reviews": Source(chinese_reviews, CHINESE, sentiment=True),
}
BUNDLED = {"english-sentiment": ("SST-2",), "chinese-sentiment": ("Chinese reviews",)}
"""The data sets whose held-out texts a bundled model was not trained on."""


@dataclass(frozen=True)
class Method:
    """A method, the languages that it reads, whether it can only tell negative from positive, and if it is trained."""

    fit: Fit
    languages: Sequence[str] = (ENGLISH, CHINESE)
    sentiment_only: bool = False
    sets: Sequence[str] = tuple(SOURCES)
    is_trained: bool = True

    def reads(self, name: str) -> bool:
        """Return whether it can answer the texts of that data set."""
        source = SOURCES[name]
        return (
            name in self.sets
            and source.language in self.languages
            and (source.sentiment or not self.sentiment_only)
        )


def load_bundled(name: str, task: Task) -> Fitted:  # noqa: ARG001 - nothing is trained
    """Return a bundled model."""
    return Fitted(partial(default_preset.answers, fastlstm.load(name, precision="auto")), [find_model(name)])


def methods(encoder: Path | None, model2vec: Path | None) -> dict[str, Method]:
    """Return all methods by name. Without a folder, the encoder is that of an installed package."""

    def with_encoder(fit: Callable[[Task, Path], Fitted]) -> Fit:
        return lambda task: fit(task, transformer.find_encoder(encoder))

    result = {
        "TF-IDF + LR": Method(linear.fit_tfidf),
        "fastText": Method(fasttext_model.fit),
        "MiniLM frozen + LR": Method(with_encoder(encoders.fit_frozen), [ENGLISH]),
        "MiniLM fine-tuned, int8": Method(with_encoder(encoders.fit_fine_tuned), [ENGLISH]),
        "VADER": Method(lexicons.fit_vader, [ENGLISH], sentiment_only=True, is_trained=False),
        "SnowNLP": Method(lexicons.fit_snownlp, [CHINESE], sentiment_only=True, is_trained=False),
        "fastlstm small": Method(default_preset.fit),
    }
    if model2vec is not None:
        result["model2vec + LR"] = Method(lambda task: encoders.fit_static(task, model2vec), [ENGLISH])
    for name in bundled_names():
        if name in BUNDLED:
            result[f"fastlstm {name}"] = Method(partial(load_bundled, name), sets=BUNDLED[name], is_trained=False)
    return result


def main() -> None:
    """Measure the missing cells and save the raw result."""
    arguments = parse_arguments()
    chosen = methods(arguments.encoder, arguments.model2vec)
    if unknown := set(arguments.methods or ()) - chosen.keys():
        raise SystemExit(f"unknown methods {sorted(unknown)}; expected {', '.join(chosen)}")
    path = machine.result_path(NAME, publish=arguments.publish)
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    for data_name in arguments.sets:
        data = SOURCES[data_name].read(arguments.data_dir)
        training, held_out = data.sample(arguments.rows, 0)
        held_out = random.Random(0).sample(held_out, min(arguments.texts, len(held_out)))
        for method_name, method in chosen.items():
            key = {"data": data_name, "rows": arguments.rows, "texts": len(held_out), "method": method_name}
            finished = any(key.items() <= cell.items() for cell in cells)
            if finished or not method.reads(data_name) or method_name not in (arguments.methods or chosen):
                continue
            unspaced = SOURCES[data_name].language == CHINESE
            cell = {
                **key,
                "threads": threads,
                "is_trained": method.is_trained,
                **measure(method.fit, training, held_out, unspaced, threads),
            }
            cells.append({**cell, "commit": machine.commit()})
            cells.sort(key=lambda cell: position(cell, list(chosen)))
            machine.save(NAME, PACKAGES, {"cells": cells}, publish=arguments.publish)
            print(
                f"{data_name}, {method_name}: {cell['accuracy']:.2%}, {cell['megabytes']:.1f} MB, "
                f"{cell['texts_per_second']:,.0f} texts/s, training {cell['training_seconds']:.1f} s",
                flush=True,
            )
    print(path)


def position(cell: Mapping[str, Any], names: Sequence[str]) -> tuple[int, int]:
    """Return the place of a cell: data sets and methods have a fixed order. A method that is not among them is last."""
    method = cell["method"]
    return list(SOURCES).index(cell["data"]), names.index(method) if method in names else len(names)


def measure(
    fit: Fit,
    training: Sequence[default_data.Text],
    held_out: Sequence[default_data.Text],
    unspaced: bool,
    threads: int,
) -> dict[str, Any]:
    """Return training seconds, accuracy, megabytes and texts per second of a method."""
    texts, labels = zip(*training, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        fitted = fit(Task(texts, labels, unspaced, 0, threads, Path(folder)))
        training_seconds = time.perf_counter() - started
        questions = [text for text, _ in held_out]
        answered = fitted.predict(questions)
        seconds = [time_call(partial(fitted.predict, questions)) for _ in range(REPEATS)]
        correct = sum(answer == label for answer, (_, label) in zip(answered, held_out, strict=True))
        return {
            "training_texts": len(training),
            "training_seconds": training_seconds,
            "accuracy": correct / len(held_out),
            "megabytes": fitted.megabytes,
            "seconds": seconds,
            "texts_per_second": len(held_out) / min(seconds),
        }


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--sets", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--methods", nargs="+", help="names of methods (default: all)")
    parser.add_argument("--rows", type=int, default=10_000, help="training texts")
    parser.add_argument("--texts", type=int, default=2_500, help="largest number of held-out texts")
    parser.add_argument("--encoder", type=Path, help="folder of the transformer (default: the installed MiniLM)")
    parser.add_argument("--model2vec", type=Path, help="folder of a model of model2vec")
    return parser.parse_args()


if __name__ == "__main__":
    main()
