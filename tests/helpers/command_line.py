"""Results of commands, small data, and options for fast training."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fastlstm.cli.main import group

GOOD, BAD = ["great", "superb", "moving", "funny"], ["awful", "boring", "dull", "weak"]
NEUTRAL = ["the", "film", "was", "a", "story", "with", "actors", "and", "music"]
SMALL = [
    *("--preset", "tutorial", "--epochs", "2"),
    *("--set", "hidden_sizes=7", "--set", "embedding_size=5", "--set", "batch_size=16"),
]
"""Options for training in about a second."""


@dataclass(frozen=True)
class Finished:
    """The result of a command: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def code(self) -> str:
        """The code of the error on standard error; see `error_code`."""
        return error_code(self.err)

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object and nothing else."""
        return json.loads(self.out)


def error_code(err: str) -> str:
    """Return the code of the error in standard error, such as "missing-column"; "" if there is none."""
    match = re.search(r"^fastlstm: error\[([a-z0-9-]+)\]: ", err, re.MULTILINE)
    return match[1] if match else ""


def all_commands() -> dict[str, click.Command]:
    """Return all commands, those of groups included, by name: "train", "lm train"."""
    return dict(_commands(group, click.Context(group), ""))


def _commands(command: click.Command, context: click.Context, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    for part in command.list_commands(context):
        child = command.get_command(context, part)
        assert child is not None
        yield from _commands(child, click.Context(child, parent=context, info_name=part), f"{name} {part}".strip())


Command = Callable[..., Finished]
"""Runs `fastlstm ARGUMENTS`; the keyword `stdin` is the content of standard input."""


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    """Return texts of 3 to 24 words with their labels, which depend on two of the words."""
    generator = random.Random(seed)
    rows = []
    for i in range(count):
        words = generator.choices(NEUTRAL, k=generator.randint(1, 22))
        words += generator.choices(GOOD if i % 2 else BAD, k=2)
        generator.shuffle(words)
        rows.append((" ".join(words), "good" if i % 2 else "bad"))
    return rows


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> Path:
    """Write texts and labels to a CSV file and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_noisy_reviews(path: Path) -> Path:
    """Write 300 labelled texts, every tenth with the wrong label, so that no model can be certain of them."""
    other = {"good": "bad", "bad": "good"}
    rows = [(text, label if i % 10 else other[label]) for i, (text, label) in enumerate(reviews(300, seed=0))]
    return write_csv(path, rows)
