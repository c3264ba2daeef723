from __future__ import annotations

from pathlib import Path

import pytest

from fastlstm.data import Dataset, UnlabelledTexts
from fastlstm.data.datasets import IMDbSplits
from fastlstm.errors import DataError, OptionError
from fastlstm.language_model import corpus as pretraining_texts
from fastlstm.language_model.corpus import read_training_texts, read_validation_texts, split_validation


@pytest.fixture
def imdb(tmp_path: Path) -> Path:
    """A small IMDb, in which one training review and one without a label stand in the test split too."""
    for place, texts in {
        "train/neg": ["dull", "seen before"],
        "train/pos": ["great"],
        "train/unsup": ["who knows", "seen before too"],
        "test/neg": ["poor", "seen before"],
        "test/pos": ["fine", "seen before too"],
    }.items():
        (tmp_path / place).mkdir(parents=True)
        for i, text in enumerate(texts):
            (tmp_path / place / f"{i}_1.txt").write_text(text)
    return tmp_path


def test_imdb_is_all_reviews_but_those_of_the_test_split(imdb: Path) -> None:
    said: list[str] = []
    texts = read_training_texts("imdb", data_dir=imdb, say=said.append)
    assert texts == UnlabelledTexts(
        ["dull", "seen before", "great", "who knows", "seen before too"], "IMDb, all but the test split"
    )
    assert said == ["2 of the 5 reviews learned from stand in the test split too"]


def test_where_imdb_lacks_the_unlabelled_reviews_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = Dataset(["dull", "great"], ["negative", "positive"]), Dataset(["fine"], ["positive"])
    dataset = IMDbSplits(train, test, "the training split, from a package", "held-out part")
    monkeypatch.setattr(pretraining_texts, "load_imdb", lambda *_, **__: dataset)
    said: list[str] = []
    assert read_training_texts("imdb", say=said.append).texts == ["dull", "great"]
    assert len(said) == 1
    assert said[0].startswith("the training split, from a package: it lacks the unlabelled reviews")


def test_imdb_s_test_split_never_chooses_the_epoch() -> None:
    with pytest.raises(DataError, match="imdb can't choose the epoch"):
        read_validation_texts(UnlabelledTexts(["a", "b"]), "imdb")


def test_texts_may_be_given_in_many_ways(imdb: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.txt"
    file.write_text("one\ntwo\n")
    assert (
        read_training_texts(str(file)) == read_training_texts(file) == UnlabelledTexts(["one", "two"], "more.txt")
    )
    assert read_training_texts([file, file]) == UnlabelledTexts(["one", "two"] * 2, "more.txt, more.txt")
    together = read_training_texts([Path("imdb"), file], data_dir=imdb)
    assert together.texts[-3:] == ["seen before too", "one", "two"]
    assert together.source == "IMDb, all but the test split, more.txt"
    assert read_training_texts(["one", "two"]).texts == ["one", "two"]
    assert read_training_texts(Dataset(["one", " "], ["x", "y"], "mine")) == UnlabelledTexts(["one"], "mine")
    assert read_training_texts(UnlabelledTexts(["one", ""], "mine")) == UnlabelledTexts(["one"], "mine")
    with pytest.raises(DataError, match="text 2 of mine: the text is a number"):
        read_training_texts(UnlabelledTexts(["one", 2], "mine"))  # type: ignore[list-item]
    with pytest.raises(DataError):
        read_training_texts([])


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 1), (0.5, 5), (0.99, 9)])
def test_a_fraction_is_held_out_at_least_one_and_never_all(fraction: float, count: int) -> None:
    texts = UnlabelledTexts([f"text {i}" for i in range(10)], "mine")
    rest, held_out = split_validation(texts, fraction)
    assert (len(held_out), len(rest)) == (count, 10 - count)
    assert sorted([*rest.texts, *held_out.texts]) == texts.texts
    assert (rest.source, held_out.source) == ("mine", "mine (held out)")
    assert split_validation(texts, fraction) == (rest, held_out)


def test_what_cannot_be_held_out_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"hold out is 1\.0; expected a number between 0 and 1"):
        read_validation_texts(UnlabelledTexts(["a", "b"]), 1)
    with pytest.raises(DataError, match="mine holds 1 text; expected 2 or more"):
        read_validation_texts(UnlabelledTexts(["a"], "mine"), 0.5)
    with pytest.raises(DataError, match="there is no file or folder"):
        read_validation_texts(UnlabelledTexts(["a"], "mine"), tmp_path / "nowhere.txt")


def test_own_texts_may_be_held_out(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("body,label\nfine,x\n")
    learned = UnlabelledTexts(["a", "b"])
    assert read_validation_texts(learned, tmp_path / "v.csv", text_column="body") == (
        learned,
        UnlabelledTexts(["fine"], "v.csv"),
    )
