"""`fastlstm distill`: a classifier that learns what another one says of texts."""

from __future__ import annotations

from typing import Any

import click

from fastlstm.cli.train import train_and_show, training_options


@click.command("distill")
@click.argument("teacher", metavar="TEACHER")
@click.argument("data", metavar="DATA")
@training_options
def command(teacher: str, data: str, **options: Any) -> None:
    """Train a classifier, the student, on the probabilities that the one in the folder TEACHER gives to texts.

    DATA are labelled texts, as train takes them, with the teacher's classes; their labels count half. With
    --unlabelled the student learns from further texts too, on which the teacher alone is believed. With
    --no-bidirectional a student reads forward only.
    """
    train_and_show(data, teacher=teacher, **options)
