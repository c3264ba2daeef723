"""What the README and the documents show is run here, or at least parsed by the real command line."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from fastlstm.cli import main as run_command
from fastlstm.cli.main import COMMANDS, group

ROOT = Path(__file__).parent.parent
DOCUMENTS = ["README.md", "README.zh-CN.md", "docs/cli.md", "docs/tutorial.md"]
ROWS = [
    (f"a {word} film, number {i}", label) for i in range(20) for word, label in (("great", "good"), ("dull", "bad"))
]


def blocks(document: str, language: str = "") -> list[str]:
    """The fenced code blocks of a document in that language."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(document: str) -> Iterator[list[str]]:
    """The `fastlstm` commands in a document's code blocks, as lists of words."""
    for block in blocks(document):
        for line in block.splitlines():
            if line.startswith("fastlstm ") and "[" not in line and "|" not in line:
                yield shlex.split(line)[1:]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README's examples read."""
    monkeypatch.chdir(tmp_path)
    lines = "".join(f'"{text}",{label}\n' for text, label in ROWS)
    (tmp_path / "reviews.csv").write_text("text,label\n" + lines, encoding="utf-8")
    (tmp_path / "more.txt").write_text("\n".join(text for text, _ in ROWS), encoding="utf-8")
    objects = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    (tmp_path / "more-reviews.jsonl").write_text("\n".join(objects), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_shown_is_one_the_command_line_takes(document: str) -> None:
    shown = list(commands(document))
    assert shown
    for name, *arguments in shown:
        context = click.Context(group)
        command = group.get_command(context, name)
        assert command is not None, name
        command.make_parser(click.Context(command)).parse_args(list(arguments))


def test_the_readme_s_commands_work(here: Path) -> None:
    for arguments in commands("README.md"):
        with pytest.raises(SystemExit) as exit_:
            run_command(arguments)
        assert exit_.value.code == 0, arguments
    assert (here / "model" / "plots" / "report.png").exists()


def test_the_readme_s_python_works(here: Path) -> None:
    names: dict[str, Any] = {}
    for code in blocks("README.md", "python"):
        exec(compile(code, "README.md", "exec"), names)
    assert (here / "reviews-model" / "model.safetensors").exists()
    assert names["stream"].tokens == 5


def test_the_python_of_explaining_and_streaming_works() -> None:
    names: dict[str, Any] = {}
    for document in ("docs/explaining.md", "docs/streaming.md"):
        exec(compile(blocks(document, "python")[0], document, "exec"), names)
    whole = names["model"].predict_proba("This movie was fantastic! I really enjoyed it.")
    assert names["stream"].held == "rea"
    assert names["again"].probabilities.tobytes() == whole.tobytes()


def test_every_option_the_command_reference_names_exists_and_every_command_is_in_it() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    known = {"--help"}
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert f"fastlstm {name}" in text
        known |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    named = set(re.findall(r"--[a-z][a-z-]+", text))
    assert named <= known, named - known


def test_the_readme_s_scripts_are_there_and_can_be_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in sorted(set(re.findall(r"scripts/[a-z_.]+", text))):
        assert os.access(ROOT / name, os.X_OK), name


@pytest.mark.parametrize(
    "document",
    [
        *DOCUMENTS,
        "CONTRIBUTING.md",
        "docs/design.md",
        "docs/kernel.md",
        "docs/language-models.md",
        "docs/saved-model.md",
    ],
)
def test_every_file_a_document_links_to_is_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("https://"):
            assert (ROOT / document).parent.joinpath(target).exists(), target


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of benchmarks/ as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_s_figures_are_those_of_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    table = benchmark("report", monkeypatch).table()
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_kernel_s_figures_are_those_of_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = benchmark("kernel_figure", monkeypatch).tables()
    text = (ROOT / "docs/kernel.md").read_text(encoding="utf-8")
    assert set(tables) == {"figures", "parts"}
    for table in tables.values():
        assert table in text
