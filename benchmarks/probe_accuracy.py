"""Accuracy of saved models on the sentences of recipes/probes.py, by kind, compared with tools that need no training.

    pip install vaderSentiment snownlp    # optional
    python benchmarks/probe_accuracy.py [MODEL ...] [--language chinese] [--errors 20]

A model is a folder or the name of a bundled model, with the labels "negative" and "positive". VADER is compared in
English, SnowNLP in Chinese, if it is installed. From a probability of one half on, the answer is "positive"; VADER's
compound score c counts as the probability (c + 1) / 2. The last rows count the sentences without sentiment, or with a
mixed verdict, whose probability is near one half. The sentences only report: choose no settings by them.

Hutto & Gilbert (2014), VADER, ICWSM. https://github.com/isnowfy/snownlp
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import fastlstm
import machine
from fastlstm._typing import DoubleArray
from fastlstm.pretrained import DEFAULT_CLASSIFIER
from probe_results import UNDECIDED, ProbeResults
from probes import CHINESE, ENGLISH, LANGUAGES, load_probes
from sentiment_card import answer_probes


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("models", nargs="*", default=[DEFAULT_CLASSIFIER])
    parser.add_argument("--language", choices=LANGUAGES, default=ENGLISH)
    parser.add_argument("--errors", type=int, default=0, help="print the most confident errors of each")
    arguments = parser.parse_args()
    language = arguments.language
    results = {name: answer_probes(fastlstm.load(name), language) for name in arguments.models}
    name, package, score = {ENGLISH: ("VADER", "vaderSentiment", vader), CHINESE: ("SnowNLP", "snownlp", snownlp)}[
        language
    ]
    if importlib.util.find_spec(package) is not None:
        probes = load_probes(language)
        results[name] = ProbeResults(language, probes, score([probe.text for probe in probes]))
    print("\n".join(table(results)))
    for name, answers in results.items():
        for probe, probability in answers.worst_errors(arguments.errors):
            print(f"{name}: {probability:.0%} not {probe.label} [{probe.kind}] {probe.text}")
    result = {name: to_json(answers) for name, answers in results.items()}
    packages = ["fastlstm", "numpy", "tokenizers"]
    print(machine.save(f"probes_{language}", packages, result, publish=arguments.publish))


def vader(texts: Sequence[str]) -> DoubleArray:
    """Return VADER's scores, moved to 0 to 1."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return np.array([(analyzer.polarity_scores(text)["compound"] + 1) / 2 for text in texts])


def snownlp(texts: Sequence[str]) -> DoubleArray:
    """Return SnowNLP's probabilities of "positive"."""
    from snownlp import SnowNLP

    return np.array([SnowNLP(text).sentiments for text in texts])


def table(results: Mapping[str, ProbeResults]) -> list[str]:
    """Return a Markdown table: one column per model, one row per group of sentences."""
    columns = [cells(answers) for answers in results.values()]
    rows = (f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0])
    return [f"| sentences | {' | '.join(results)} |", "| --- |" + " --- |" * len(results), *rows]


def cells(results: ProbeResults) -> dict[str, str]:
    """Return the figures of one model by the name of their row."""
    lengths = {f"{length} {results.unit}": report for length, report in results.by_length().items()}
    groups = {**results.by_kind(), "**all**": results.total, **results.by_subject(), **lengths}
    column = {f"{name} ({report.texts})": f"{report.accuracy:.1%}" for name, report in groups.items()}
    short, (low, high) = results.short, UNDECIDED
    column[f"calibration error, at most {results.short_limit} ({short.texts})"] = f"{short.calibration_error:.1%}"
    for kind, answers in results.neutral().items():
        column[f"{kind}: mean probability of positive"] = f"{answers.mean:.2f}"
        column[f"{kind} ({answers.texts}): within {low} to {high}"] = str(answers.undecided)
    return column


def to_json(results: ProbeResults) -> dict[str, Any]:
    """Return the figures as a JSON object."""
    groups = {"kinds": results.by_kind(), "subjects": results.by_subject(), "lengths": results.by_length()}
    return {
        "accuracy": results.total.accuracy,
        "calibration_error_short": results.short.calibration_error,
        **{title: {name: [r.texts, r.accuracy] for name, r in group.items()} for title, group in groups.items()},
        "neutral": {
            kind: {"texts": n.texts, "mean": n.mean, "undecided": n.undecided}
            for kind, n in results.neutral().items()
        },
    }


if __name__ == "__main__":
    main()
