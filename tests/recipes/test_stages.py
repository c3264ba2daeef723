"""The stages of a recipe are skipped once they are finished, and their times are added up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.recipes import load_recipe


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/stages.py"""
    return load_recipe("stages", monkeypatch)


def test_a_finished_stage_is_skipped(stages: Any, tmp_path: Path) -> None:
    for text in ("first", "second"):
        stages.run_stage(tmp_path / "texts", lambda out, text=text: out.write_text(text))
    assert (tmp_path / "texts").read_text() == "first"
    assert stages.stage_seconds(tmp_path).keys() == {"texts"}


@pytest.mark.parametrize(
    ("name", "stage"), [("words.vec", "words"), ("labels of a.parquet", "labels of a"), ("bge-v1.5", "bge-v1.5")]
)
def test_stages_have_the_names_of_their_outputs(stages: Any, tmp_path: Path, name: str, stage: str) -> None:
    stages.run_stage(tmp_path / name, lambda out: out.touch())
    assert stages.stage_seconds(tmp_path).keys() == {stage}


def test_the_time_of_an_interrupted_stage_counts(
    stages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 13.0, 20.0, 24.5])
    monkeypatch.setattr(stages.time, "perf_counter", lambda: next(clock))

    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run_stage(tmp_path / "model", stop)
    stages.run_stage(tmp_path / "model", lambda out: out.mkdir())
    assert stages.stage_seconds(tmp_path) == {"model": 7.5}
