"""The models that come with the package: folders beside this file, each made by the recipe of its name."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_MODEL = "english-sentiment"
"""What `load` and every command take where no model is named: a classifier of English opinions."""
ENGLISH_ENCODER = "english"
"""A language model of English reviews, to begin a classifier from."""


def bundled(name: str) -> Path | None:
    """The folder of the bundled model of that name; None for a name that is not one's."""
    folder = Path(__file__).parent / name
    plain = name == folder.name and not name.startswith((".", "_"))
    return folder if plain and (folder / "config.json").is_file() else None


def located(name: str | os.PathLike[str]) -> Path:
    """The folder of that name, or where there is none the bundled model's."""
    folder = Path(name)
    return folder if folder.exists() else bundled(os.fspath(name)) or folder


def names() -> list[str]:
    """The names of all bundled models."""
    return sorted(folder.name for folder in Path(__file__).parent.iterdir() if bundled(folder.name))
