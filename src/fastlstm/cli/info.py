"""`fastlstm info`: what a model is and how it was trained."""

from __future__ import annotations

import dataclasses
import sys

import click

from fastlstm.cli.options import common_options, model_option
from fastlstm.cli.output import fact_table, json_object, weights_table
from fastlstm.inference import Classifier
from fastlstm.language_model.inference import LanguageModel
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import THRESHOLD, SavedModel

OF_A_RUN = {"preset", "fastlstm_version", "data", "results", "best_epoch", "epochs", "baseline"}
"""What the record of a model has that a run of fastlstm made. Others may hold anything, or nothing."""


@click.command("info")
@model_option
@common_options
def command(model: Classifier | LanguageModel, as_json: bool) -> None:
    """Say what a model is, how it was trained, and how good it was."""
    if isinstance(model, LanguageModel):
        _language_model(model, as_json)
        return
    saved = model.model
    count = weights.parameter_count(saved.config, len(saved.labels))
    if as_json:
        json_object(
            {
                "labels": list(saved.labels),
                "weights": count,
                "model": dataclasses.asdict(saved.config),
                "calibration": {"temperature": saved.temperature, "threshold": saved.threshold},
                "training": dict(saved.training),
            }
        )
        return
    weights_table(saved.config, len(saved.labels), sys.stdout)
    ways = "both directions" if saved.config.bidirectional else "one direction"
    facts = {"classes": ", ".join(saved.labels), "reads": f"{saved.config.max_tokens} tokens, in {ways}"}
    if saved.threshold != THRESHOLD:
        facts["threshold"] = f"{saved.labels[1]} from the probability {saved.threshold:.4g} on"
    config = saved.config
    if config.ngrams:
        facts["n-grams"] = f"{config.ngrams:,}, {config.ngram_kinds}"
    if config.padding != "none":
        facts["padding"] = f"read at the {config.padding}, up to {config.max_tokens} tokens"
    if saved.early_exit is not None:
        last = saved.early_exit.bars[-1]
        facts["early exit"] = (
            f"for agreements up to {last.agreement:g}, which saves {last.saved:.0%} of the tokens of the "
            f"{saved.early_exit.texts:,} texts that it was learned on"
        )
    training = saved.training
    if "imported_from" in training:
        facts["imported from"] = str(training["imported_from"])
    if set(training) >= OF_A_RUN:
        data, results = training["data"], training["results"]
        facts["preset"] = f"{training['preset']}, fastlstm {training['fastlstm_version']}"
        facts["trained on"] = f"{data['train_texts']:,} texts, {data['train']}"
        if data.get("unlabelled_texts"):
            facts["and on"] = f"{data['unlabelled_texts']:,} texts without labels"
        for beginning in ("encoder", "teacher"):
            if training.get(beginning):
                facts[beginning] = training[beginning]
        facts["epoch kept"] = f"{training['best_epoch']} of {training['epochs']}"
        facts["accuracy"] = f"{results['accuracy']:.2%} on {results['texts']:,} texts ({results['evaluated_on']})"
        facts["calibration"] = f"error {results['calibration_error']:.2%} there; {_fitted(saved)}"
        if training["baseline"]:
            facts["baseline"] = f"{training['baseline']['accuracy']:.2%}, {training['baseline']['name']}"
    fact_table(facts, sys.stdout)


def _language_model(model: LanguageModel, as_json: bool) -> None:
    saved = model.model
    if as_json:
        json_object({"model": dataclasses.asdict(saved.config), "training": dict(saved.training)})
        return
    config = saved.config
    facts = {
        "a language model": f"embedding {config.embedding_size}, LSTM {', '.join(map(str, config.hidden_sizes))}",
        "direction": config.direction,
        "vocabulary": f"{config.vocabulary_size:,} words",
    }
    if {"data", "results"} <= set(saved.training):
        data, results = saved.training["data"], saved.training["results"]
        facts["trained on"] = f"{data['count']:,} texts, {data['tokens']:,} tokens, {data['texts']}"
        if saved.training.get("begin"):
            facts["begun from"] = saved.training["begin"]
        if "best_epoch" in saved.training:
            facts["epoch kept"] = f"{saved.training['best_epoch']} of {saved.training['epochs']}"
        facts["perplexity"] = (
            f"{results['perplexity']:.1f} on {results['texts']:,} texts ({results['measured_on']}), "
            f"{results['unknown']:.2%} of tokens unknown"
        )
    fact_table(facts, sys.stdout)


def _fitted(saved: SavedModel) -> str:
    """How the probabilities were fitted."""
    method = saved.training.get("calibration", {}).get("method", "none")
    if method == "vector scaling":
        return "vector scaling"
    return "not fitted" if method == "none" else f"temperature {saved.temperature:.4g}"
