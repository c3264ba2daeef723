"""The package as a whole: its public names, the cost of importing it, and missing extras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fastlstm


def run_script(script: str) -> None:
    """Run a script in a new interpreter and assert that it succeeds."""
    result = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_public_names_exist_and_are_documented() -> None:
    for name in fastlstm.__all__:
        value = getattr(fastlstm, name)
        assert name == "__version__" or value.__doc__
    assert dir(fastlstm) == sorted(fastlstm.__all__)


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'lode'"):
        fastlstm.lode  # noqa: B018 -- looking it up is the test


def test_importing_fastlstm_imports_no_large_package() -> None:
    run_script(
        "import sys; before = set(sys.modules); import fastlstm; new = set(sys.modules) - before\n"
        "large = {'torch', 'numpy', 'sklearn', 'rich', 'click', 'pyarrow', 'matplotlib'} & new\n"
        "assert not large, large\n"
    )


@pytest.mark.parametrize("module", ["fastlstm.cli.predict", "fastlstm.cli.score", "fastlstm.scoring.api"])
def test_commands_that_use_models_import_neither_pytorch_nor_an_extra(module: str) -> None:
    run_script(
        f"import sys, {module}\n"
        "large = {'torch', 'sklearn', 'pyarrow', 'matplotlib', 'psycopg', 'ray'} & set(sys.modules)\n"
        "assert not large, large\n"
    )


@pytest.mark.parametrize("missing", ["torch", "sklearn"])
def test_names_that_need_the_training_extra_raise_without_it(missing: str) -> None:
    names = ("train", "distill", "train_language_model", "tune", "check", "LSTMClassifier")
    run_script(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import fastlstm, fastlstm.errors\n"
        "fastlstm.load, fastlstm.load_language_model\n"
        f"for name in {names}:\n"
        "    try: getattr(fastlstm, name)\n"
        "    except fastlstm.errors.MissingDependencyError as error:\n"
        "        assert (error.code, error.extra) == ('missing-dependency', 'train'), error\n"
        "        assert \"pip install 'fastlstm[train]'\" in str(error), error\n"
        "    else: raise SystemExit(f'{name} was imported')\n"
    )


def test_tune_raises_without_the_tuning_extra() -> None:
    run_script(
        "import sys; sys.modules['optuna'] = None\n"
        "import fastlstm, fastlstm.errors\n"
        "fastlstm.train\n"
        "try: fastlstm.tune(fastlstm.Dataset(['a', 'b'], ['x', 'y'], 'texts'))\n"
        "except fastlstm.errors.MissingDependencyError as error:\n"
        "    assert (error.package, error.extra) == ('optuna', 'tune'), error\n"
        "    assert \"pip install 'fastlstm[tune]'\" in str(error), error\n"
        "else: raise SystemExit('tune did not raise')\n"
    )


def test_python_m_runs_the_command_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "fastlstm", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"fastlstm, version {fastlstm.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["train", "x.csv"], ["tune", "x.csv"], ["lm", "train", "x.txt"]], ids=" ".join
)
def test_training_commands_without_pytorch_report_the_missing_extra(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / arguments[-1]).touch()
    code = f"import sys; sys.modules['torch'] = None\nfrom fastlstm.cli import main\nmain({arguments!r})\n"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("fastlstm: error[missing-dependency]: ")
