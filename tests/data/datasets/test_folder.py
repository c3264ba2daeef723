"""IMDb from a folder that was given."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.imdb_archive import assert_is_small_imdb, write_acl

from fastlstm.data.datasets.imdb import load_imdb, load_imdb_unlabelled
from fastlstm.errors import DataError


@pytest.mark.parametrize("below", [".", "aclImdb"])
def test_the_unpacked_archive_is_read_from_a_given_folder(tmp_path: Path, below: str) -> None:
    write_acl(tmp_path / below)
    dataset = load_imdb(tmp_path)
    assert_is_small_imdb(dataset)
    assert dataset.origin == f"the folder {tmp_path / below}"


@pytest.mark.parametrize("labels", [[0, 1, 1], ["neg", "pos", "pos"]])
def test_parquet_files_are_read_from_a_given_folder(tmp_path: Path, labels: list[object]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part in ("train", "test"):
        table = pyarrow.table({"text": ["a", "b", part], "label": labels, "rating": [1, 9, 10]})
        parquet.write_table(table, tmp_path / f"{part}.parquet")
    dataset = load_imdb(tmp_path)
    assert dataset.train.labels == dataset.test.labels == ["negative", "positive", "positive"]
    assert (dataset.train.texts[2], dataset.test.texts[2]) == ("train", "test")
    assert (dataset.origin, dataset.test_note) == (f"Parquet files in {tmp_path}", None)


def test_parquet_files_with_other_labels_are_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part in ("train", "test"):
        parquet.write_table(pyarrow.table({"text": ["a"], "label": [-1]}), tmp_path / f"{part}.parquet")
    with pytest.raises(DataError, match=r"train\.parquet has the label '-1'; expected 0 or 1"):
        load_imdb(tmp_path)


def test_the_environment_can_give_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(write_acl(tmp_path)))
    assert_is_small_imdb(load_imdb())


def test_a_given_folder_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path / "nowhere"))
    assert_is_small_imdb(load_imdb(write_acl(tmp_path)))


@pytest.mark.parametrize("name", ["nowhere", "", "aclImdb/train"])
def test_a_given_folder_without_imdb_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "aclImdb" / "train").mkdir(parents=True)
    (tmp_path / "train.parquet").touch()
    with pytest.raises(DataError) as caught:
        load_imdb(tmp_path / name)
    assert repr(str(tmp_path / name)) in str(caught.value)
    assert "expected train.parquet and test.parquet, or the unpacked aclImdb folder" in str(caught.value)


def test_a_given_folder_that_lacks_a_class_is_refused(tmp_path: Path) -> None:
    for file in (write_acl(tmp_path) / "test" / "neg").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"folder neg of IMDb test holds no \.txt file"):
        load_imdb(tmp_path)


@pytest.mark.parametrize("below", [".", "aclImdb"])
def test_unlabelled_reviews_are_read_from_a_given_folder(tmp_path: Path, below: str) -> None:
    write_acl(tmp_path / below)
    unlabelled = load_imdb_unlabelled(tmp_path)
    assert (unlabelled.texts, unlabelled.source) == (["who knows"], "IMDb unlabelled")


def test_unlabelled_reviews_are_read_from_a_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["who knows"]}), tmp_path / "unsupervised.parquet")
    monkeypatch.setenv("FASTLSTM_DATA_DIR", str(tmp_path))
    assert load_imdb_unlabelled().texts == ["who knows"]


def test_a_given_folder_without_unlabelled_reviews_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no unlabelled reviews; expected unsupervised\.parquet"):
        load_imdb_unlabelled(tmp_path)
