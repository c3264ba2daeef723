"""The package as a whole: its public names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fastlstm


def test_every_public_name_is_there_and_documented() -> None:
    for name in fastlstm.__all__:
        value = getattr(fastlstm, name)
        assert name == "__version__" or value.__doc__
    assert dir(fastlstm) == sorted(fastlstm.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        fastlstm.lode  # noqa: B018 -- looking it up is the test


def test_importing_fastlstm_loads_nothing_heavy() -> None:
    script = (
        "import sys; before = set(sys.modules); import fastlstm; new = set(sys.modules) - before;"
        "heavy = {'torch', 'numpy', 'sklearn', 'rich', 'click', 'pyarrow', 'matplotlib'} & new;"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("missing", ["torch", "sklearn"])
def test_without_the_training_extra_the_error_prints_the_pip_command(missing: str) -> None:
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import fastlstm, fastlstm.errors\n"
        "fastlstm.load, fastlstm.load_language_model\n"
        "for name in ('train', 'train_language_model', 'tune', 'check', 'LSTMClassifier'):\n"
        "    try: getattr(fastlstm, name)\n"
        "    except fastlstm.errors.MissingDependencyError as error:\n"
        "        assert \"pip install 'fastlstm[train]'\" in str(error), error\n"
        "    else: raise SystemExit(f'{name} came without it')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_the_tuning_extra_the_error_prints_the_pip_command() -> None:
    script = (
        "import sys; sys.modules['optuna'] = None\n"
        "import fastlstm, fastlstm.errors\n"
        "fastlstm.train\n"
        "try: fastlstm.tune(fastlstm.Dataset(['a', 'b'], ['x', 'y'], 'texts'))\n"
        "except fastlstm.errors.MissingDependencyError as error:\n"
        "    assert \"pip install 'fastlstm[tune]'\" in str(error), error\n"
        "else: raise SystemExit('tune came without it')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_python_m_runs_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastlstm", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fastlstm, version {fastlstm.__version__}\n"
