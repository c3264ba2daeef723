"""The models that come with the package: folders beside this file, made by recipes/english_sentiment.py."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_CLASSIFIER = "english-sentiment"
"""A classifier of English reviews: what `load` and the commands of classifiers take where no model is named."""
ENGLISH_ENCODER = "english"
"""A language model of English reviews, to begin a classifier from, and to generate with where none is named."""


def bundled_model(name: str) -> Path | None:
    """The folder of the bundled model of that name; None for a name that is not one's."""
    folder = Path(__file__).parent / name
    plain = name == folder.name and not name.startswith((".", "_"))
    return folder if plain and (folder / "config.json").is_file() else None


def find_model(name: str | os.PathLike[str] | None, default: str = DEFAULT_CLASSIFIER) -> Path:
    """The folder of that name; where there is none, or no name, the bundled model of the name or the default.

    A path to nowhere where there is no such model either.
    """
    if name is None:
        return bundled_model(default) or Path(default)
    folder = Path(name)
    return folder if folder.exists() else bundled_model(os.fspath(name)) or folder


def bundled_names() -> list[str]:
    """The names of all bundled models."""
    return sorted(folder.name for folder in Path(__file__).parent.iterdir() if bundled_model(folder.name))
