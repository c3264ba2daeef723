"""`fastlstm info`: describe a classifier and its training."""

from __future__ import annotations

import dataclasses
import sys

import click

from fastlstm.cli.options import PanelCommand, common_options, format_value, model_option
from fastlstm.cli.output import fact_table, json_object, weights_table
from fastlstm.inference import Classifier
from fastlstm.metrics import DEFAULT_THRESHOLD, format_accuracy
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel

RECORD_FIELDS = {"preset", "fastlstm_version", "data", "results", "best_epoch", "epochs", "baseline"}
"""Fields of the training record of a run of fastlstm; other records may contain anything."""
NGRAM_KINDS = {"pairs": "words and pairs", "places": "words and pairs, also apart and by position"}
"""Descriptions of the values of `ngram_kinds`."""


@click.command("info", cls=PanelCommand)
@model_option
@common_options
def command(model: Classifier, as_json: bool) -> None:
    """Describe a model: its shape, its training, and its accuracy."""
    saved = model.saved
    if as_json:
        json_object(
            {
                "labels": list(saved.labels),
                "weights": weights.parameter_count(saved.config, len(saved.labels)),
                "linear": saved.is_linear,
                "streams": model.can_stream,
                "model": dataclasses.asdict(saved.config),
                "calibration": {"temperature": saved.temperature, "threshold": saved.threshold},
                "training": dict(saved.training),
            }
        )
        return
    if not saved.is_linear:
        weights_table(saved.config, len(saved.labels), sys.stdout)
    fact_table({**_model_facts(saved), **_training_facts(saved)}, sys.stdout)


def _model_facts(saved: SavedModel) -> dict[str, str]:
    config = saved.config
    facts = {"classes": ", ".join(saved.labels)}
    if saved.is_linear:
        facts["model"] = "linear: n-grams alone, no LSTM"
        facts["input"] = "the whole text"
    else:
        facts["input"] = f"up to {config.max_tokens} tokens, {'bi' if config.bidirectional else 'uni'}directional"
    if config.tokens != "words":
        facts["tokens"] = config.tokens
    facts["streams"] = saved.stream_obstacle or "yes"
    if saved.threshold != DEFAULT_THRESHOLD:
        facts["threshold"] = f"{saved.threshold:.4g} for {saved.labels[1]}"
    if config.ngrams:
        facts["n-grams"] = f"{config.ngrams:,} ({NGRAM_KINDS[config.ngram_kinds]})"
    if config.padding != "none":
        facts["padding"] = f"{config.padding}, to {config.max_tokens} tokens"
    if saved.early_exit is not None:
        last = saved.early_exit.thresholds[-1]
        facts["early exit"] = (
            f"up to {last.agreement:g} agreement, which skips {last.saved_fraction:.0%} of the tokens "
            f"(fitted on {saved.early_exit.text_count:,} texts)"
        )
    return facts


def _training_facts(saved: SavedModel) -> dict[str, str]:
    record = saved.training
    facts = {}
    if "imported_from" in record:
        facts["imported from"] = str(record["imported_from"])
    if set(record) >= RECORD_FIELDS:
        data, results = record["data"], record["results"]
        kind = "preset" if record.get("budget") is None else "best candidate"
        facts[kind] = f"{record['preset']}, fastlstm {record['fastlstm_version']}"
        if record.get("changed"):
            values = {**record.get("config", {}), **dataclasses.asdict(saved.config)}
            shown = (f"{name}={format_value(values[name])}" for name in record["changed"] if name in values)
            facts["other settings"] = ", ".join(shown)
        facts["trained on"] = f"{data['train_texts']:,} texts, {data['train']}"
        if data.get("unlabelled_texts"):
            facts["unlabelled"] = f"{data['unlabelled_texts']:,} texts"
        for source in ("encoder", "word_vectors", "teacher"):
            if record.get(source):
                facts[source.replace("_", " ")] = record[source]
        if record["epochs"]:
            facts["best epoch"] = f"{record['best_epoch']} of {record['epochs']}"
        accuracy = format_accuracy(results["accuracy"], results["texts"])
        facts["accuracy"] = f"{accuracy} on {results['texts']:,} texts ({results['evaluated_on']})"
        facts["calibration"] = (
            f"error {results['calibration_error']:.2%} on these texts; {_calibration_method(saved)}"
        )
        if record["baseline"]:
            accuracy = format_accuracy(record["baseline"]["accuracy"], results["texts"])
            facts["baseline"] = f"{accuracy}, {record['baseline']['name']}"
        for number, note in enumerate(results.get("notes", ())):
            facts["note" if not number else f"note {number + 1}"] = note["text"]
    return facts


def _calibration_method(saved: SavedModel) -> str:
    method = saved.training.get("calibration", {}).get("method", "none")
    if method == "none":
        return "not calibrated"
    return f"temperature {saved.temperature:.4g}" if method == "temperature" else str(method)
