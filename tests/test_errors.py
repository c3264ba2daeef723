"""Errors: attributes, pickling, and one documented code per cause."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastlstm
from fastlstm import errors
from fastlstm.errors import (
    CPU_PYTORCH,
    DataError,
    FastLSTMError,
    InputError,
    MissingDependencyError,
    OptionError,
    suggest,
)

SOURCE = Path(fastlstm.__file__).parent
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, FastLSTMError)
}
GENERAL = {"FastLSTMError", "InputError", "OptionError", "DataError", "ResumeError", "TrainingError"}
"""Classes whose default code names no cause, so that every error of them has a code of its own."""
KEBAB_CASE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
DOCUMENT = Path(__file__).parents[1] / "docs" / "errors.md"


def make_error(kind: type[FastLSTMError]) -> FastLSTMError:
    if kind is MissingDependencyError:
        return MissingDependencyError("plotting", "matplotlib", "plots")
    return kind("column 'txt' not found", code="missing-column", column="txt", columns=("text", "label"))


def test_values_are_attributes() -> None:
    error = DataError("column 'txt' not found", code="missing-column", column="txt", columns=("text", "label"))
    assert str(error) == "column 'txt' not found"
    assert (error.code, error.column, error.columns) == ("missing-column", "txt", ("text", "label"))
    assert error.values == {"column": "txt", "columns": ("text", "label")}
    with pytest.raises(AttributeError):
        error.row  # noqa: B018 -- looking it up is the test


@pytest.mark.parametrize("kind", CLASSES.values())
def test_pickled_error_keeps_class_message_code_and_values(kind: type[FastLSTMError]) -> None:
    error = make_error(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.code, copy.values) == (str(error), error.code, error.values)
    for name, value in error.values.items():
        assert getattr(copy, name) == value


@pytest.mark.parametrize(("name", "kind"), CLASSES.items())
def test_class_has_a_default_code_and_an_exit_status(name: str, kind: type[FastLSTMError]) -> None:
    assert name == "FastLSTMError" or "default_code" in vars(kind)
    assert issubclass(kind, ValueError) == issubclass(kind, InputError)
    expected = 130 if name == "Interrupted" else 2 if issubclass(kind, InputError) else 1
    assert kind.exit_status == expected


def test_default_codes_differ() -> None:
    codes = [kind.default_code for kind in CLASSES.values()]
    assert len(set(codes)) == len(codes)


def test_missing_dependency_names_package_extra_and_pip_command() -> None:
    error = MissingDependencyError("plotting", "matplotlib", "plots")
    assert (error.code, error.purpose, error.package, error.extra) == (
        "missing-dependency",
        "plotting",
        "matplotlib",
        "plots",
    )
    assert "pip install 'fastlstm[plots]'" in str(error)
    assert isinstance(error, ImportError)


def test_missing_pytorch_is_installed_for_cpus_first() -> None:
    error = MissingDependencyError("training", "PyTorch", "train")
    assert f"{CPU_PYTORCH} && pip install 'fastlstm[train]'" in str(error)
    assert CPU_PYTORCH not in str(MissingDependencyError("training", "scikit-learn", "train"))


def test_suggestion_names_the_closest_value_and_all_known_ones() -> None:
    known = ["tutorial", "small", "accurate"]
    assert suggest("tutorail", known).index("'tutorial'") < suggest("tutorail", known).index("small")
    assert suggest("xyz", known) == "known: accurate, small, tutorial"


def test_option_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="epochs"):
        raise OptionError("epochs is 0", code="bad-option-value", option="epochs")


def parsed_sources() -> list[tuple[str, ast.Module]]:
    """Return the name and the syntax tree of every source file."""
    return [
        (path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(SOURCE.rglob("*.py"))
    ]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the name of the function or class and the node of every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def strings(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def used_codes(tree: ast.AST) -> set[str]:
    """Return all codes in a source file: literals passed as `code`, codes of notes, and default codes of classes."""
    codes: set[str] = set()
    for name, call in calls(tree):
        for keyword in call.keywords:
            if keyword.arg == "code":
                value = keyword.value
                parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                codes |= {text for part in parts if isinstance(part, ast.Constant) for text in strings(part)}
        if name == "Note":
            codes |= {text for argument in call.args[1:2] for text in strings(argument)}
        if name == "BadRow":
            codes |= {text for argument in call.args[2:3] for text in strings(argument)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("default_code", "code"):
            codes |= strings(node.value)
    return codes


def test_errors_of_general_classes_have_codes() -> None:
    without = [
        f"{path}:{call.lineno}: {name}"
        for path, tree in parsed_sources()
        for name, call in calls(tree)
        if name in GENERAL and not any(keyword.arg == "code" for keyword in call.keywords)
    ]
    assert without == []


def test_notes_have_codes() -> None:
    without = [
        f"{path}:{call.lineno}"
        for path, tree in parsed_sources()
        for name, call in calls(tree)
        if name == "Note" and len(call.args) < 2 and not any(keyword.arg == "code" for keyword in call.keywords)
    ]
    assert without == []


def test_codes_are_kebab_case() -> None:
    codes = {code for _, tree in parsed_sources() for code in used_codes(tree)}
    assert len(codes) > 100
    assert [code for code in sorted(codes) if not KEBAB_CASE.fullmatch(code)] == []


def test_documented_codes_are_those_of_the_source() -> None:
    trees = [tree for _, tree in parsed_sources()]
    documented = set(re.findall(r"^\| `([^`]+)` \|", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE))
    used = set().union(*(used_codes(tree) for tree in trees))
    assert used - documented == set()
    assert documented - set().union(*(strings(tree) for tree in trees)) == set()
