"""What an unknown option was meant to be: another spelling of an option, or a field of --set."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import click

ALIASES = {
    "lr": "learning_rate",
    "rate": "learning_rate",
    "alpha": "learning_rate",
    "batch": "batch_size",
    "bs": "batch_size",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "epoch": "epochs",
    "early_stopping": "patience",
    "random_state": "seed",
    "random_seed": "seed",
    "class_weight": "class_weights",
    "hidden": "hidden_sizes",
    "hidden_size": "hidden_sizes",
    "hidden_dim": "hidden_sizes",
    "hidden_units": "hidden_sizes",
    "units": "hidden_sizes",
    "embedding_dim": "embedding_size",
    "emb_dim": "embedding_size",
    "emb_size": "embedding_size",
    "max_length": "max_tokens",
    "max_len": "max_tokens",
    "maxlen": "max_tokens",
    "max_seq_length": "max_tokens",
    "max_seq_len": "max_tokens",
    "seq_len": "max_tokens",
    "vocab_size": "vocabulary_size",
    "vocab": "vocabulary_size",
    "max_features": "vocabulary_size",
    "num_words": "vocabulary_size",
    "bidir": "bidirectional",
    "output": "out",
    "output_dir": "out",
    "out_dir": "out",
    "save": "out",
    "save_dir": "out",
    "force": "overwrite",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "val_split": "validation",
    "validation_split": "validation",
    "test_split": "test",
    "test_size": "test",
    "text": "text_column",
    "text_col": "text_column",
    "label": "label_column",
    "label_col": "label_column",
    "target": "label_column",
    "sep": "delimiter",
    "separator": "delimiter",
    "unlabeled": "unlabelled",
    "gpu": "device",
    "cuda": "device",
    "model_dir": "model",
    "model_path": "model",
    "num_workers": "workers",
    "address": "host",
    "time": "budget",
    "n_trials": "trials",
    "num_trials": "trials",
    "ngram": "ngrams",
    "verbose": "debug",
}
"""Names of options in other tools -> fields and options of fastlstm. A command ignores those that it does not have."""
MIN_PREFIX = 3
"""Shorter names are not taken for the beginning of another."""
MIN_SIMILARITY = 0.65


def suggest_option(name: str, command: click.Command, fields: Iterable[str]) -> str | None:
    """Return the option, or the use of --set, that an unknown option may stand for; None if there is none.

    Args:
        name: The unknown option, such as "--lr".
        command: The command.
        fields: The fields that --set of the command sets.
    """
    flags = {
        flag.lstrip("-").replace("-", "_"): flag
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("--")
    }
    known = {**{field: f"--set {field}=VALUE" for field in fields}, **flags}
    key = name.lstrip("-").replace("-", "_").lower()
    match = _match(key, list(known))
    return None if match is None else known[match]


def _match(key: str, known: Sequence[str]) -> str | None:
    if key in known:
        return key
    if ALIASES.get(key) in known:
        return ALIASES[key]
    if len(key) >= MIN_PREFIX:
        for name in sorted(known, key=len):
            if name.startswith(key) or (len(name) >= MIN_PREFIX and key.startswith(f"{name}_")):
                return name
    close = difflib.get_close_matches(key, known, n=1, cutoff=MIN_SIMILARITY)
    return close[0] if close else None
