"""Scoring runs: results, failures at any moment, bad rows, and settings."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from tests.helpers.random_models import make_model
from tests.helpers.scoring import (
    MANY_CALLS,
    Killed,
    KilledSink,
    SerialWorkers,
    file_sink_of,
    file_source_of,
    ids,
    make_table,
    read_rows,
    score_files,
    score_with,
    write_table,
)

from fastlstm.data.options import BadRow
from fastlstm.errors import DataError, FastLSTMError, MissingDependencyError, OptionError, ResumeError
from fastlstm.inference import Classifier
from fastlstm.notes import Note
from fastlstm.scoring import file_readers
from fastlstm.scoring.events import ScoreProgress, ScoreResult, ScoreStarted
from fastlstm.scoring.rejects import RejectsFile
from fastlstm.scoring.run import Progress, run
from fastlstm.scoring.settings import ScoreSettings
from fastlstm.serialization.classifier import SavedModel


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_readers, "ROWS_PER_CHUNK", 7)


def test_rows_have_the_predictions_of_the_model(tmp_path: Path, three_classes: Classifier) -> None:
    table = make_table(30)
    source = write_table(tmp_path / "in.parquet", table)
    result = score_files(three_classes, source, tmp_path / "out.parquet", probabilities=True)[-1]
    rows = read_rows(tmp_path / "out.parquet")
    texts = table.column("text").to_pylist()
    probabilities = three_classes.predict_proba(texts)
    assert [row["text"] for row in rows] == texts
    assert [row["predicted_label"] for row in rows] == three_classes.predict(texts)
    names = [f"predicted_probability_{label}" for label in three_classes.labels]
    np.testing.assert_array_equal([[row[name] for name in names] for row in rows], probabilities)
    known = three_classes.known(texts) > 0
    expected = np.where(known, probabilities.max(axis=1), np.nan)
    given = [np.nan if row["predicted_probability"] is None else row["predicted_probability"] for row in rows]
    np.testing.assert_array_equal(given, expected)
    assert isinstance(result, ScoreResult)
    assert (result.rows, result.unlabelled_rows) == (30, int((~known).sum()))
    assert sum(result.labels.values()) == int(known.sum())


def test_missing_texts_have_neither_label_nor_probability(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", pyarrow.table({"text": ["a film", None]}))
    events = score_files(classifier, source, tmp_path / "out.parquet", probabilities=True)
    missing = read_rows(tmp_path / "out.parquet")[1]
    assert set(missing.values()) == {None}
    assert [event.code for event in events if isinstance(event, Note)] == ["rows-without-label"]


def test_texts_of_several_columns_are_joined(tmp_path: Path, classifier: Classifier) -> None:
    table = pyarrow.table({"title": ["Good", None, None], "body": ["not bad", "really good", None]})
    source = write_table(tmp_path / "in.parquet", table)
    score_files(classifier, source, tmp_path / "out.parquet", text_column=["title", "body"])
    labels = [row["predicted_label"] for row in read_rows(tmp_path / "out.parquet")]
    assert labels == [*classifier.predict(["Good\nnot bad", "really good"]), None]


def test_columns_and_prefix_determine_the_result(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(3))
    score_files(classifier, source, tmp_path / "out.parquet", columns=["stars"], prefix="m1_")
    assert list(read_rows(tmp_path / "out.parquet")[0]) == ["stars", "m1_label", "m1_probability"]
    score_files(classifier, source, tmp_path / "both.parquet", columns=[], threshold=0.0)
    assert {row["predicted_label"] for row in read_rows(tmp_path / "both.parquet")} <= {classifier.labels[1], None}


def test_an_empty_table_gives_an_empty_table(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(0))
    for name in ("out.parquet", "out.csv"):
        score_files(classifier, source, tmp_path / name)
    assert read_rows(tmp_path / "out.parquet") == []
    assert (tmp_path / "out.csv").read_text().count("\n") == 1


def test_events_describe_the_progress(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(30))
    events = score_files(classifier, source, tmp_path / "out", rows_per_commit=10)
    assert isinstance(events[0], ScoreStarted)
    progress = [event for event in events if isinstance(event, ScoreProgress)]
    assert [event.rows for event in progress] == [7, 14, 21, 28, 30]
    assert [event.committed_rows for event in progress] == [0, 14, 14, 28, 28]
    assert progress[-1].fraction == 1.0
    assert progress[0].seconds_left is not None
    assert len(list((tmp_path / "out").glob("part-*"))) == 3


class Refusing(KilledSink):
    """A sink that refuses the first row of each commit."""

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        self._sink.write(table.slice(1))
        return [BadRow("sink", 1, "refused", "too long")]


class RefusingAll(KilledSink):
    """A sink that refuses every row."""

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        return [BadRow("sink", number, "refused", "too long") for number in range(table.num_rows)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("sink_name", ["out", "out.parquet", "out.csv"])
@pytest.mark.parametrize("source_name", ["in.parquet", "in.csv"])
def test_every_row_is_there_once_after_a_failure_at_any_step(
    tmp_path: Path, classifier: Classifier, source_name: str, sink_name: str, after: bool
) -> None:
    source = write_table(tmp_path / source_name, make_table(30))
    bad_rows = 0
    if source_name == "in.csv":
        lines = source.read_text().splitlines(keepends=True)
        source.write_text("".join([*lines[:1], "1,2\n", *lines[1:], "3,4,5,6\n"]))
        bad_rows = 2
    rejects, sink_path = tmp_path / "rejects.csv", tmp_path / sink_name
    options: dict[str, Any] = {"rows_per_commit": 10, "bad_rows": rejects}

    def score(call: int, **more: Any) -> bool:
        """Score until a call of the sink; return whether the run ended by itself."""
        settings = ScoreSettings.create({**options, **more})
        sink = KilledSink(file_sink_of(sink_path, settings), call, after=after)
        try:
            score_with(classifier, file_source_of(source, settings), sink, settings)
        except Killed:
            return False
        return True

    call, is_complete = 2, False  # the first call saves the checkpoint of a new run
    while not is_complete:
        is_complete = score(call, overwrite=True)
        is_finished = sink_name != "out" and not (tmp_path / f"{sink_name}.incomplete").exists()
        if not is_finished:
            assert score(MANY_CALLS, resume=True)
        assert list(map(int, ids(read_rows(sink_path)))) == list(range(30))
        with rejects.open(newline="") as file:
            assert len(list(csv.DictReader(file))) == bad_rows
        call += 1
    assert call > 6


def test_closing_the_events_commits_the_rows_so_far(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(40))
    settings = ScoreSettings.create({})
    events = run(
        classifier,
        file_source_of(source, settings),
        file_sink_of(tmp_path / "out", settings),
        settings,
        lambda: SerialWorkers(classifier),
    )
    for event in events:
        if isinstance(event, ScoreProgress) and event.rows == 14:
            break
    events.close()
    assert ids(read_rows(tmp_path / "out")) == list(range(14))
    result = score_files(classifier, source, tmp_path / "out", resume=True)[-1]
    assert ids(read_rows(tmp_path / "out")) == list(range(40))
    assert isinstance(result, ScoreResult)
    assert (result.rows, result.new_rows) == (40, 26)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(20))
    score_files(classifier, source, tmp_path / "out")
    result = score_files(classifier, source, tmp_path / "out", resume=True)[-1]
    assert isinstance(result, ScoreResult)
    assert (result.rows, result.new_rows) == (20, 0)
    assert ids(read_rows(tmp_path / "out")) == list(range(20))


def test_runs_with_other_settings_cannot_be_resumed(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(20))
    score_files(classifier, source, tmp_path / "out")
    with pytest.raises(ResumeError) as error:
        score_files(classifier, source, tmp_path / "out", resume=True, threshold=0.9)
    assert (error.value.code, error.value.settings) == ("different-settings", ["threshold"])
    with pytest.raises(ResumeError) as error:
        score_files(Classifier(make_model(seed=1)), source, tmp_path / "out", resume=True)
    assert error.value.settings == ["model"]


def test_bad_rows_are_listed_with_their_reason(tmp_path: Path, classifier: Classifier) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,good\n2\n3,bad\n")
    events = score_files(classifier, tmp_path / "in.csv", tmp_path / "out.csv", bad_rows=tmp_path / "rejects.csv")
    with (tmp_path / "rejects.csv").open(newline="") as file:
        (reject,) = csv.DictReader(file)
    assert (reject["source"], reject["location"], reject["code"]) == ("in.csv", "3", "bad-csv-row")
    assert isinstance(events[-1], ScoreResult)
    assert events[-1].bad_rows == {"bad-csv-row": 1}
    assert "rows-rejected" in [event.code for event in events if isinstance(event, Note)]


def test_the_first_bad_row_can_stop_the_run_which_keeps_earlier_rows(
    tmp_path: Path, classifier: Classifier
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("id,text\n" + "".join(f"{n},good\n" for n in range(20)) + "20\n21,bad\n")
    with pytest.raises(DataError) as error:
        score_files(classifier, source, tmp_path / "out", on_bad_rows="stop")
    assert (error.value.code, error.value.location) == ("bad-csv-row", 22)
    assert ids([{"id": int(row["id"])} for row in read_rows(tmp_path / "out")]) == list(range(14))


def test_a_row_that_the_sink_refuses_can_stop_the_run(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(20))
    settings = ScoreSettings.create({"on_bad_rows": "stop"})
    sink = Refusing(file_sink_of(tmp_path / "out", settings), MANY_CALLS, after=False)
    with pytest.raises(DataError) as error:
        score_with(classifier, file_source_of(source, settings), sink, settings)
    assert (error.value.code, error.value.location) == ("refused", 1)
    resumed = file_sink_of(tmp_path / "out", settings)  # the run had not finished
    result = score_with(
        classifier, file_source_of(source, settings), resumed, ScoreSettings.create({"resume": True})
    )[-1]
    assert isinstance(result, ScoreResult)
    assert (result.rows, result.bad_rows) == (19, {"refused": 1})
    assert ids(read_rows(tmp_path / "out")) == list(range(1, 20))


def test_checkpoints_of_other_versions_cannot_be_resumed() -> None:
    saved = {**Progress({}).to_json(), "format_version": 0, "more": 1}
    with pytest.raises(ResumeError) as error:
        Progress.from_json(saved, "scored")
    assert (error.value.code, error.value.path) == ("bad-checkpoint", "scored")


@pytest.mark.parametrize("content", [None, "source,location,code,reason,content\n"])
def test_lists_of_bad_rows_must_be_those_of_the_run(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "rejects.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResumeError) as error:
        RejectsFile(path).start(100)
    assert (error.value.code, error.value.path) == ("bad-rows-file-changed", path)


@pytest.mark.parametrize(
    "options",
    [{"encoding": "latin-1"}, {"delimiter": ","}, {"format": "csv"}, {"columns": ["id"]}, {"prefix": "x_"}],
)
def test_settings_that_change_the_result_cannot_be_changed(
    tmp_path: Path, classifier: Classifier, options: dict[str, Any]
) -> None:
    source = write_table(tmp_path / "in.csv", make_table(5))
    score_files(classifier, source, tmp_path / "out")
    with pytest.raises(ResumeError) as error:
        score_files(classifier, source, tmp_path / "out", resume=True, **options)
    assert error.value.settings == list(options)


def test_models_with_other_labels_cannot_continue_a_run(tmp_path: Path, tiny_model: SavedModel) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(5))
    score_files(Classifier(tiny_model), source, tmp_path / "out")
    other = Classifier(dataclasses.replace(tiny_model, labels=("no", "yes")))
    with pytest.raises(ResumeError) as error:
        score_files(other, source, tmp_path / "out", resume=True)
    assert error.value.settings == ["model"]


def test_mostly_bad_rows_stop_the_run(tmp_path: Path, classifier: Classifier) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,good\n" + "2\n" * 1100)
    with pytest.raises(DataError) as error:
        score_files(classifier, tmp_path / "in.csv", tmp_path / "out")
    assert error.value.code == "too-many-bad-rows"


def test_rows_that_the_sink_refuses_are_rejected(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(20))
    settings = ScoreSettings.create({"bad_rows": tmp_path / "rejects.csv"})
    sink = Refusing(file_sink_of(tmp_path / "out", settings), 100, after=False)
    result = score_with(classifier, file_source_of(source, settings), sink, settings)[-1]
    assert isinstance(result, ScoreResult)
    assert (result.rows, result.bad_rows) == (19, {"refused": 1})
    assert "refused" in (tmp_path / "rejects.csv").read_text()


def test_other_files_are_not_replaced_by_rejects(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.csv", make_table(3))
    with pytest.raises(OptionError) as error:
        score_files(classifier, source, tmp_path / "out", bad_rows=source)
    assert error.value.code == "bad-rows-file-exists"


def test_text_columns_must_contain_strings(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(3))
    with pytest.raises(DataError) as error:
        score_files(classifier, source, tmp_path / "out", text_column="stars")
    assert (error.value.code, error.value.type) == ("not-a-text-column", "double")
    codes = pyarrow.table({"text": pyarrow.array(["good", "bad", "good"]).dictionary_encode()})
    score_files(classifier, write_table(tmp_path / "codes.parquet", codes), tmp_path / "out.parquet")
    assert [row["text"] for row in read_rows(tmp_path / "out.parquet")] == ["good", "bad", "good"]


def test_new_columns_do_not_replace_existing_ones(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(3))
    score_files(classifier, source, tmp_path / "once.parquet")
    with pytest.raises(OptionError) as error:
        score_files(classifier, tmp_path / "once.parquet", tmp_path / "twice.parquet")
    assert (error.value.code, error.value.column) == ("column-exists", "predicted_label")
    score_files(classifier, tmp_path / "once.parquet", tmp_path / "twice.parquet", prefix="second_")
    assert list(read_rows(tmp_path / "twice.parquet")[0])[-2:] == ["second_label", "second_probability"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"processes": 0}, "bad-option-value"),
    ({"processes": 1.5}, "bad-option-value"),
    ({"rows_per_commit": True}, "bad-option-value"),
    ({"engine": "rays"}, "bad-option-value"),
    ({"format": "xls"}, "bad-option-value"),
    ({"on_bad_rows": "ignore"}, "bad-option-value"),
    ({"text_column": []}, "bad-option-value"),
    ({"columns": ["a", "a"]}, "bad-option-value"),
    ({"columns": 3}, "bad-option-value"),
    ({"bad_rows": 3}, "bad-option-value"),
    ({"resume": "yes"}, "bad-option-value"),
    ({"encoding": "klingon"}, "bad-option-value"),
    ({"procs": 2}, "unknown-option"),
    ({"resume": True, "overwrite": True}, "conflicting-options"),
]


@pytest.mark.parametrize(("options", "code"), WRONG)
def test_wrong_settings_raise(options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as error:
        ScoreSettings.create(options)
    assert error.value.code == code


def test_wrong_thresholds_raise_before_anything_is_written(tmp_path: Path, three_classes: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(3))
    with pytest.raises(FastLSTMError) as error:
        score_files(three_classes, source, tmp_path / "out", threshold=0.5)
    assert error.value.code == "threshold-needs-two-classes"
    assert not (tmp_path / "out").exists()


def test_an_earlier_result_stays_if_a_new_run_cannot_start(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(5))
    score_files(classifier, source, tmp_path / "out")
    (tmp_path / "thesis.csv").write_text("my thesis")
    with pytest.raises(OptionError) as error:
        score_files(classifier, source, tmp_path / "out", overwrite=True, bad_rows=tmp_path / "thesis.csv")
    assert error.value.code == "bad-rows-file-exists"

    def fail() -> SerialWorkers:
        raise MissingDependencyError("`engine`=ray", "ray", "ray")

    settings = ScoreSettings.create({"overwrite": True})
    with pytest.raises(MissingDependencyError):
        list(
            run(
                classifier,
                file_source_of(source, settings),
                file_sink_of(tmp_path / "out", settings),
                settings,
                fail,
            )
        )
    assert ids(read_rows(tmp_path / "out")) == list(range(5))


def test_a_run_whose_rows_are_refused_stops(tmp_path: Path, classifier: Classifier) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(1500))
    settings = ScoreSettings.create({"rows_per_commit": 350})
    sink = RefusingAll(file_sink_of(tmp_path / "out", settings), MANY_CALLS, after=False)
    with pytest.raises(DataError) as error:
        score_with(classifier, file_source_of(source, settings), sink, settings)
    assert (error.value.code, error.value.rows) == ("too-many-bad-rows", 1050)


def test_the_list_of_bad_rows_continues_after_a_run_without_it(tmp_path: Path, classifier: Classifier) -> None:
    source, rejects = tmp_path / "in.csv", tmp_path / "rejects.csv"
    source.write_text("id,text\n" + "1\n2,good\n" * 30)
    options: dict[str, Any] = {"rows_per_commit": 10}
    for call, more in ((4, {"bad_rows": rejects}), (4, {"resume": True}), (MANY_CALLS, {"resume": True})):
        settings = ScoreSettings.create({**options, **more, **({"bad_rows": rejects} if call > 4 else {})})
        sink = KilledSink(file_sink_of(tmp_path / "out", settings), call, after=True)
        with contextlib.suppress(Killed):
            score_with(classifier, file_source_of(source, settings), sink, settings)
    with rejects.open(newline="") as file:
        locations = [int(row["location"]) for row in csv.DictReader(file)]
    assert locations == sorted(set(locations))
    assert locations[0] == 2


def test_bad_rows_are_listed_in_a_local_file() -> None:
    with pytest.raises(OptionError) as error:
        ScoreSettings.create({"bad_rows": "s3://key:secret@bucket/rejects.csv"})
    assert (error.value.code, error.value.option) == ("bad-option-value", "bad_rows")
    assert "secret" not in str(error.value)


def test_lists_of_bad_rows_are_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OptionError) as error:
        RejectsFile(tmp_path / "pipe")
    assert (error.value.code, error.value.option) == ("bad-option-value", "bad_rows")
