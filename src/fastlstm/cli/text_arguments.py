"""Texts given as arguments: notes about names of files, folders or models, and about Chinese texts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

import click

from fastlstm import pretrained
from fastlstm.cli.output import note
from fastlstm.text.segmentation import CHINESE


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


def is_unreadable(text: str) -> bool:
    """Return whether the text is Chinese, and the command uses the default model, which reads English."""
    source = click.get_current_context().get_parameter_source("model")
    return source is click.core.ParameterSource.DEFAULT and _is_mostly_chinese(text)


def note_unreadable(subject: str, result: str) -> None:
    """Print a note about a text for which `is_unreadable` holds.

    Args:
        subject: The text: "text 1".
        result: What that means for its label.
    """
    note(
        f"{subject} is Chinese, which the model {pretrained.DEFAULT_CLASSIFIER} cannot read; {result}; "
        f"pass --model {pretrained.CHINESE_CLASSIFIER}"
    )


def label_result(*, has_label: bool) -> str:
    """Return what a note says about the label of a text that the model cannot read."""
    return "its label is unreliable" if has_label else "it has no label"


def _is_mostly_chinese(text: str) -> bool:
    """Return whether more than half of the letters are Chinese characters."""
    if text.isascii():
        return False
    letters = sum(character.isalpha() for character in text)
    return 2 * len(CHINESE.findall(text)) > letters


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
