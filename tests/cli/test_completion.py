"""Shell completion, by the protocol of click: environment variables in, candidates out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run_completion(instruction: str, words: str = "", word_index: int = 0) -> str:
    """Return the output of `fastlstm` when a shell asks it for completion."""
    environment = {
        **os.environ,
        "_FASTLSTM_COMPLETE": instruction,
        "COMP_WORDS": words,
        "COMP_CWORD": str(word_index),
    }
    result = subprocess.run(
        [sys.executable, "-m", "fastlstm"], env=environment, check=True, capture_output=True, text=True
    )
    assert result.stderr == ""
    return result.stdout


def complete(words: str) -> list[str]:
    """Return the candidates for the last of the words."""
    lines = run_completion("bash_complete", words, len(words.split(" ")) - 1).splitlines()
    return [line.removeprefix("plain,") for line in lines]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str) -> None:
    script = run_completion(f"{shell}_source")
    assert "_FASTLSTM_COMPLETE" in script
    assert "_fastlstm_completion" in script


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        ("fastlstm tr", ["train"]),
        ("fastlstm d", ["distill", "doctor"]),
        ("fastlstm train --pre", ["--preset"]),
        ("fastlstm train --preset a", ["accurate"]),
        ("fastlstm train --config nowhere.toml --set wrong --pre", ["--preset"]),
        ("fastlstm predict --model nowhere --prec", ["--precision"]),
        ("fastlstm lm ge", ["generate"]),
        ("fastlstm lm train --preset q", ["quick"]),
    ],
)
def test_commands_options_and_values_are_completed(words: str, candidates: list[str]) -> None:
    assert complete(words) == candidates
