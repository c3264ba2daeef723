"""Texts given as arguments: notes about those that are the name of a file, a folder or a model."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from fastlstm import pretrained
from fastlstm.cli.output import note


def note_names(texts: Iterable[str], command: str, content: str) -> None:
    """Print a note about each text that is the name of a file, folder or bundled model.

    Args:
        texts: The arguments.
        command: The command, such as "fastlstm predict".
        content: What the command reads from standard input: "its lines".
    """
    for text in texts:
        kind = _kind(text)
        if kind is None:
            continue
        name = shlex.quote(text)
        remedy = {
            "file": f"for {content}: {command} - < {name}",
            "model": f"to use the model: {command} --model {name} TEXT",
            "folder": f"for labelled texts in it: fastlstm evaluate {name}",
        }[kind]
        note(f"{text} is the name of a {kind}, used as a text here; {remedy}")


def _kind(text: str) -> str | None:
    try:
        path = Path(text)
        if path.is_file():
            return "file"
        if path.is_dir() and text.strip(". ") and text:
            return "model" if (path / "config.json").is_file() else "folder"
        is_name = os.sep not in text and pretrained.bundled_model(text) is not None
    except (OSError, ValueError):  # too long for a path, or with invalid characters
        return None
    return "model" if is_name else None
