"""IMDb from a given folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.imdb_archive import assert_is_small_imdb, write_acl

from fastlstm.data.datasets.imdb import load_imdb, load_imdb_unlabelled
from fastlstm.errors import DataError


@pytest.mark.parametrize("subfolder", [".", "aclImdb"])
def test_unpacked_archive_is_read(tmp_path: Path, subfolder: str) -> None:
    write_acl(tmp_path / subfolder)
    splits = load_imdb(tmp_path)
    assert_is_small_imdb(splits)
    assert str(tmp_path / subfolder) in splits.origin


@pytest.mark.parametrize("labels", [[0, 1, 1], ["neg", "pos", "pos"]])
def test_parquet_files_are_read(tmp_path: Path, labels: list[object]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part in ("train", "test"):
        table = pyarrow.table({"text": ["a", "b", part], "label": labels, "rating": [1, 9, 10]})
        parquet.write_table(table, tmp_path / f"{part}.parquet")
    splits = load_imdb(tmp_path)
    assert splits.train.labels == splits.test.labels == ["negative", "positive", "positive"]
    assert (splits.train.texts[2], splits.test.texts[2]) == ("train", "test")
    assert (splits.origin, splits.test_note) == (f"Parquet files in {tmp_path}", None)


def test_parquet_files_with_other_labels_raise_data_error(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part in ("train", "test"):
        parquet.write_table(pyarrow.table({"text": ["a"], "label": [-1]}), tmp_path / f"{part}.parquet")
    with pytest.raises(DataError) as raised:
        load_imdb(tmp_path)
    assert raised.value.code == "unknown-label"
    assert (raised.value.source, raised.value.label) == ("train.parquet", "-1")


def test_environment_variable_gives_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(write_acl(tmp_path)))
    assert_is_small_imdb(load_imdb())


def test_given_folder_takes_precedence_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path / "nowhere"))
    assert_is_small_imdb(load_imdb(write_acl(tmp_path)))


@pytest.mark.parametrize("name", ["nowhere", "", "aclImdb/train"])
def test_folder_without_imdb_raises_data_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "aclImdb" / "train").mkdir(parents=True)
    (tmp_path / "train.parquet").touch()
    with pytest.raises(DataError) as raised:
        load_imdb(tmp_path / name)
    assert (raised.value.code, raised.value.path) == ("imdb-not-found", tmp_path / name)
    assert repr(str(tmp_path / name)) in str(raised.value)


def test_folder_that_lacks_a_class_raises_data_error(tmp_path: Path) -> None:
    for file in (write_acl(tmp_path) / "test" / "neg").iterdir():
        file.unlink()
    with pytest.raises(DataError) as raised:
        load_imdb(tmp_path)
    assert (raised.value.code, raised.value.source) == ("no-text-files", "folder neg of IMDb test")


@pytest.mark.parametrize("subfolder", [".", "aclImdb"])
def test_unlabelled_reviews_are_read_from_the_unpacked_archive(tmp_path: Path, subfolder: str) -> None:
    write_acl(tmp_path / subfolder)
    unlabelled = load_imdb_unlabelled(tmp_path)
    assert (unlabelled.texts, unlabelled.source) == (["who knows"], "IMDb unlabelled")


def test_unlabelled_reviews_are_read_from_a_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["who knows"]}), tmp_path / "unsupervised.parquet")
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path))
    assert load_imdb_unlabelled().texts == ["who knows"]


def test_folder_without_unlabelled_reviews_raises_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_imdb_unlabelled(tmp_path)
    assert (raised.value.code, raised.value.path) == ("no-unlabelled-reviews", tmp_path)
