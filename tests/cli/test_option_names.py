"""Python arguments in messages appear as options of the command."""

from __future__ import annotations

import click
import pytest

from fastlstm.cli.option_names import option_names, with_options
from fastlstm.errors import DataError

COMMAND = click.Command(
    "train",
    params=[
        click.Option(["--out", "-o"]),
        click.Option(["--overwrite"], is_flag=True),
        click.Option(["--text-column"]),
    ],
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("choose another `out`", "choose another --out"),
        ("pass `overwrite=True` to replace it", "pass --overwrite to replace it"),
        ("pass `text_column='review'`", "pass --text-column review"),
        ("try `class_weights='balanced'`", "try --set class_weights=balanced"),
        ("train one with `bidirectional=False`", "train one with --set bidirectional=false"),
        ("set `max_tokens`", "set --set max_tokens"),
        ("calibrate it with `early_exit=True`", "calibrate it with --early-exit"),
        ("a `Column Name` is kept", "a `Column Name` is kept"),
        ("nothing to replace", "nothing to replace"),
    ],
)
def test_marked_arguments_become_options(message: str, expected: str) -> None:
    assert with_options(message, COMMAND) == expected


def test_error_keeps_its_code_and_values() -> None:
    with pytest.raises(DataError) as raised, option_names(COMMAND):
        raise DataError("pass `text_column`", code="missing-column", column="x")
    assert str(raised.value) == "pass --text-column"
    assert (raised.value.code, raised.value.column) == ("missing-column", "x")
