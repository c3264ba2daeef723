"""Run the code and parse the commands that the README and the documents show, and check their figures and links."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from tests.helpers.benchmarks import load_benchmark

from fastlstm.cli import main as run_command
from fastlstm.cli.main import group

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
WITH_COMMANDS = {"README.md", "README.zh-CN.md", "docs/cli.md", "docs/tutorial.md"}
"""Documents that show at least one command."""
ROWS = [
    (f"a {word} film, number {i}", label) for i in range(20) for word, label in (("great", "good"), ("dull", "bad"))
]


def blocks(document: str, *languages: str) -> list[str]:
    """Return the fenced code blocks of a document in one of the languages; "" is a block without a language."""
    text = (ROOT / document).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for language, block in fenced if language in languages]


def commands(document: str, *languages: str) -> Iterator[list[str]]:
    """Yield the `fastlstm` commands in a document's code blocks, as lists of arguments."""
    for block in blocks(document, *languages):
        for line in block.splitlines():
            if line.startswith("fastlstm ") and "[" not in line and "|" not in line:
                yield shlex.split(line)[1:]


def leaf_commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the names and the command of every command that has no subcommands."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        subcommand = command.get_command(context, name)
        assert subcommand is not None, name
        yield from leaf_commands(subcommand, (*path, name))


def run_python(code: str, document: str, names: dict[str, Any]) -> None:
    """Run a code block. If a comment after an expression is a Python value, the expression must have that value."""
    exec(compile(code, document, "exec"), names)
    for expression, comment in re.findall(r"^(\S.*?)  # (.+)$", code, re.MULTILINE):
        with contextlib.suppress(SyntaxError, ValueError):
            expected = ast.literal_eval(comment)
            ast.parse(expression, mode="eval")
            assert plain_value(eval(expression, names), expected) == expected, (document, expression)


def plain_value(value: Any, expected: Any) -> Any:
    """Return a value with arrays as lists, and numbers rounded to the digits of `expected`."""
    if isinstance(value, tuple) and isinstance(expected, tuple):
        return tuple(map(plain_value, value, expected))
    if isinstance(expected, float):
        return round(float(value), len(repr(expected).partition(".")[2]))
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.fixture
def example_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the README's examples read."""
    monkeypatch.chdir(tmp_path)
    lines = "".join(f'"{text}",{label}\n' for text, label in ROWS)
    (tmp_path / "reviews.csv").write_text("text,label\n" + lines, encoding="utf-8")
    (tmp_path / "more.txt").write_text("\n".join(text for text, _ in ROWS), encoding="utf-8")
    objects = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    (tmp_path / "more-reviews.jsonl").write_text("\n".join(objects), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_of_documents_are_valid(document: str) -> None:
    all_commands = list(commands(document, "", "sh", "bash"))
    assert all_commands or document not in WITH_COMMANDS
    leaves = dict(leaf_commands(group))
    for words in all_commands:
        depth = 2 if tuple(words[:2]) in leaves else 1
        command = leaves[tuple(words[:depth])]
        command.make_parser(click.Context(command)).parse_args(words[depth:])


def test_commands_of_the_readme_run(example_folder: Path) -> None:
    """Blocks without a language are run; those marked sh need other files or do not end."""
    for arguments in commands("README.md", ""):
        with pytest.raises(SystemExit) as exit_:
            run_command(arguments)
        assert exit_.value.code == 0, arguments
    assert (example_folder / "model" / "plots" / "report.png").exists()


def test_python_of_the_readme_runs(example_folder: Path) -> None:
    names: dict[str, Any] = {}
    for code in blocks("README.md", "python"):
        run_python(code, "README.md", names)
    assert (example_folder / "reviews-model" / "model.safetensors").exists()


@pytest.mark.usefixtures("example_folder")
def test_python_of_distillation_runs() -> None:
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    section = text[text.index("## Distillation") : text.index("## Calibration")]
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        run_python(code, "docs/training.md", names)
    assert names["result"].agreement.texts > 0


def test_python_of_explaining_and_streaming_runs() -> None:
    names: dict[str, Any] = {}
    for document in ("docs/explaining.md", "docs/streaming.md"):
        for code in blocks(document, "python"):
            run_python(code, document, names)
    whole = names["model"].predict_proba("This movie was fantastic! I really enjoyed it.")
    assert names["stream"].pending == "rea"
    assert names["again"].probabilities.tobytes() == whole.tobytes()


def test_command_reference_names_every_command_and_only_existing_options() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    known = {"--help"}
    for path, command in leaf_commands(group):
        assert f"fastlstm {' '.join(path)}" in text
        known |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    mentioned = set(re.findall(r"--[a-z][a-z-]+", text))
    assert mentioned <= known, mentioned - known


def test_scripts_of_the_readme_are_executable() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in sorted(set(re.findall(r"scripts/[a-z_.]+", text))):
        assert os.access(ROOT / name, os.X_OK), name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_linked_files_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("https://"):
            assert (ROOT / document).parent.joinpath(target).exists(), target


def test_figures_of_readme_and_benchmarks_match_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    for document, _, content in load_benchmark("report", monkeypatch).documents():
        assert content in (ROOT / document).read_text(encoding="utf-8"), document


def test_figures_of_the_accuracy_document_match_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/accuracy.md").read_text(encoding="utf-8")
    for name, table in load_benchmark("accuracy_report", monkeypatch).tables().items():
        assert table in text, name


def test_figures_of_the_kernel_document_match_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = load_benchmark("kernel_figure", monkeypatch).tables()
    text = (ROOT / "docs/kernel.md").read_text(encoding="utf-8")
    assert set(tables) == {"figures", "parts"}
    for table in tables.values():
        assert table in text
