"""Fine-tune a transformer on the phrases of SST-2, with a learning rate chosen on sentences of the training part."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opponents import transformer
from opponents.padded_batches import IntArray
from opponents.transformer_training import FineTuning, fine_tune
from probes import LABELS
from sst2 import Phrases, Treebank, load_treebank, split_treebank

VALIDATION_PART = 1
LEARNING_RATES = 3e-5, 6e-5, 1.2e-4
TRIAL_PHRASES = 8_000
"""Training phrases of a trial of one epoch per learning rate."""


@dataclass(frozen=True)
class Data:
    """Phrases to train on, sentences that select settings and epochs, and sentences that are scored at the end."""

    training: Phrases
    validation: Phrases
    held_out: Phrases


def load_data(folder: Path, rows: int | None) -> Data:
    """Read SST-2; with `rows`, only so many random phrases to train on."""
    treebank: Treebank = load_treebank(folder)
    inner = split_treebank(treebank.training.texts, treebank.training.labels, VALIDATION_PART)
    training = inner.training if rows is None else sample(inner.training, rows)
    return Data(training, inner.held_out, treebank.held_out)


def sample(phrases: Phrases, count: int) -> Phrases:
    """Return random phrases, always the same."""
    chosen = random.Random(0).sample(range(len(phrases.texts)), min(count, len(phrases.texts)))
    return Phrases([phrases.texts[k] for k in chosen], [phrases.labels[k] for k in chosen])


def train_teacher(encoder: Path, data: Data, options: FineTuning, out: Path) -> None:
    """Choose the learning rate, fine-tune, and save the classifier as the folder `out`."""
    tokenize = transformer.TransformerTokenizer(encoder)

    def train(phrases: Phrases, options: FineTuning, checkpoint: Path | None) -> transformer.TransformerClassifier:
        model = transformer.create(encoder, len(LABELS), seed=options.seed)
        ids = tokenize(phrases.texts)
        fine_tune(model, ids, class_numbers(phrases), options, checkpoint=checkpoint, report=report)
        return model

    def trial(rate: float) -> float:
        trial_options = replace(options, epochs=1, learning_rate=rate)
        model = train(sample(data.training, TRIAL_PHRASES), trial_options, None)
        probabilities = transformer.predict_proba(model, tokenize(data.validation.texts))
        return float((probabilities.argmax(1) == class_numbers(data.validation)).mean())

    rate = choose_learning_rate(trial, out.with_name("learning-rates.json"))
    checkpoint = out.with_name(out.name + ".checkpoint")
    model = train(data.training, replace(options, learning_rate=rate), checkpoint)
    transformer.save(model, encoder, LABELS, out)
    checkpoint.unlink(missing_ok=True)


def choose_learning_rate(trial: Callable[[float], float], path: Path) -> float:
    """Return the rate with the highest accuracy. Finished trials are kept in `path`."""
    accuracies: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for rate in LEARNING_RATES:
        if str(rate) not in accuracies:
            accuracies[str(rate)] = trial(rate)
            report(f"learning rate {rate}: validation accuracy {accuracies[str(rate)]:.2%}")
            path.write_text(json.dumps(accuracies, indent=2) + "\n", encoding="utf-8")
    return float(max(accuracies, key=accuracies.__getitem__))


def class_numbers(phrases: Phrases) -> IntArray:
    """Return the class number of each phrase [n]."""
    return np.array([LABELS.index(label) for label in phrases.labels])


def report(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)
