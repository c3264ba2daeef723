"""URLs of PostgreSQL, and that no error shows a password."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastlstm
from fastlstm.cli import main
from fastlstm.errors import FastLSTMError, OptionError
from fastlstm.integrations import postgresql

pytest.importorskip("psycopg")
MALFORMED = [
    "postgresql:/user:hidden@host/shop?table=t",
    "postgresql://user:in@hidden@host/shop?table=t",
    "postgresql://user:in/hidden@host/shop?table=t",
    "postgresql://user:12/hidden@host/shop?table=t",
    "postgresql://user:12?hidden@host/shop?table=t",
    "postgresql://user:12#hidden@host/shop?table=t",
    "postgresql://user:in[hidden@host/shop?table=t",
    "postgresql://user:hidden@host:port/shop?table=t",
    "postgresql+psycopg://user:hidden@host/shop?table=t",
    "PostgreSQL+psycopg://user:hidden@host/shop?table=t",
]
WRONG = [
    "postgresql://user:hidden@host.invalid/shop?table=t",
    "PostgreSQL://user:hidden@127.0.0.1:1/shop?table=t",
    "postgres://user@127.0.0.1:1/shop?password=hidden&table=t",
    "postgresql://user@127.0.0.1:1/shop?sslpassword=hidden&table=t",
    "postgresql://user:hidden%zz%C3%A9@127.0.0.1:1/shop?table=t",
    "postgresql://user:hidden%00@127.0.0.1:1/shop?table=t",
    "postgresql://user:hidden@127.0.0.1:1/shop",
    "postgresql://user:hidden@127.0.0.1:1/shop?table=a..b",
    "postgresql://user:hidden@127.0.0.1:1/shop?table=t&connect_timeout=x",
    "postgresql://user:hidden@127.0.0.1:1/shop?table=t&unknown=x",
]


def open_source(url: str) -> object:
    return postgresql.open_source(url, text_columns=["text"])


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("open_url", [postgresql.parse_url, postgresql.open_sink, open_source])
def test_malformed_urls_raise(url: str, open_url: Callable[[str], Any]) -> None:
    with pytest.raises(OptionError) as error:
        open_url(url)
    assert error.value.code == "bad-database-url"
    assert "hidden" not in shown(error.value)


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("convert", [str, Path])
def test_malformed_urls_of_training_data_are_no_paths(url: str, convert: Callable[[str], Any]) -> None:
    with pytest.raises(OptionError) as error:
        fastlstm.read_dataset(convert(url))
    assert error.value.code == "bad-database-url"
    assert "hidden" not in shown(error.value)


@pytest.mark.parametrize("url", WRONG)
def test_errors_show_no_password(url: str) -> None:
    for open_it in (open_source, fastlstm.read_dataset):
        with pytest.raises(FastLSTMError) as error:
            open_it(url)
        assert error.value.code in ("cannot-connect", "bad-database-url")
        assert "hidden" not in shown(error.value)


@pytest.mark.parametrize("url", [*MALFORMED, *WRONG])
@pytest.mark.parametrize("command", ["score-source", "score-sink", "train"])
def test_the_command_line_shows_no_password(
    url: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("text\ngood\n")
    arguments = {
        "score-source": ["score", url, "out.csv"],
        "score-sink": ["score", "in.csv", url],
        "train": ["train", url, "--out", "model"],
    }
    with pytest.raises(SystemExit) as exit_:
        main(arguments[command])
    output = capsys.readouterr()
    assert exit_.value.code in (1, 2)
    assert "hidden" not in output.out + output.err


def test_the_operators_of_queries_may_contain_any_character() -> None:
    url = postgresql.parse_url("postgresql://host/shop?query=SELECT a #> '{b}' FROM t WHERE c = '@?/:'")
    assert url.query == "SELECT a #> '{b}' FROM t WHERE c = '@?/:'"


def shown(error: FastLSTMError) -> str:
    """Return all that a user may see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error.values)
