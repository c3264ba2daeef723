"""Quantize a trained model, and save it as a bundled model of the package, with its results and its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fastlstm
from fastlstm.serialization.folder import CARD
from fastlstm.training.early_exit import add_early_exit
from sentiment_card import Figure, Origin, sentiment_card

BUNDLED = Path(__file__).resolve().parents[1] / "src" / "fastlstm" / "pretrained"
STORAGE = "int8"
RESULTS = "accuracy", "loss", "macro_f1", "calibration_error", "texts"
"""Results that config.json keeps."""


def quantize(folder: Path) -> tuple[Path, int]:
    """Store a model in int8, in a folder beside it; return that folder and its size in bytes."""
    out = folder.with_name(f"{folder.name}-{STORAGE}")
    fastlstm.load(folder).save(out, storage=STORAGE, overwrite=True)
    return out, sum(file.stat().st_size for file in out.iterdir())


def save_bundled(
    model: fastlstm.Classifier,
    name: str,
    language: str,
    scoring: Mapping[str, Any],
    evaluated_on: str,
    validation: Sequence[str],
    figures: Mapping[str, Sequence[Figure]],
    origin: Origin,
) -> None:
    """Save a quantized model in the package.

    Args:
        model: The model.
        name: Its name in the package.
        language: The language of the probes on its card.
        scoring: Its results on the texts that `evaluated_on` describes.
        evaluated_on: These texts, in one line.
        validation: Texts that fit early exit.
        figures: Tables of the card, by their titles.
        origin: How it was made.
    """
    record = {
        **model.saved.training,
        "results": {"evaluated_on": evaluated_on, **{name: scoring[name] for name in RESULTS}},
        "baseline": None,
    }
    recorded = fastlstm.Classifier(dataclasses.replace(model.saved, training=record))
    bundled, note = add_early_exit(recorded, list(validation))
    print(note.text)
    card = sentiment_card(bundled, name, language, figures, origin)
    bundled.save(BUNDLED / name, storage=STORAGE, overwrite=True, extras={CARD: card.encode()})
    print(card)
