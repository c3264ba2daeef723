"""The bundled models: the subfolders of this package, trained by the scripts in recipes/."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_CLASSIFIER = "english-sentiment"
"""Classifier of English reviews that `load` and the command line use if no model is named."""
CHINESE_CLASSIFIER = "chinese-sentiment"
"""Classifier of Chinese reviews."""
ENGLISH_ENCODER = "english"
"""Language model of English reviews, for fine-tuning and as the default for generation."""


def bundled_model(name: str) -> Path | None:
    """Return the folder of a bundled model; None if there is no model of that name."""
    folder = Path(__file__).parent / name
    is_plain_name = name == folder.name and not name.startswith((".", "_"))
    return folder if is_plain_name and (folder / "config.json").is_file() else None


def find_model(name: str | os.PathLike[str] | None, default: str = DEFAULT_CLASSIFIER) -> Path:
    """Return the folder `name` if it exists, otherwise that of the bundled model `name`; None means `default`.

    If there is neither, the returned path does not exist.
    """
    if name is None:
        return bundled_model(default) or Path(default)
    folder = Path(name)
    return folder if folder.exists() else bundled_model(os.fspath(name)) or folder


def bundled_names() -> list[str]:
    """Return the names of all bundled models, sorted."""
    return sorted(folder.name for folder in Path(__file__).parent.iterdir() if bundled_model(folder.name))
