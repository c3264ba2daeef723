"""Reading and splitting the texts of a run, and cutting token streams into windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastlstm.data import Dataset, UnlabelledTexts
from fastlstm.data.datasets import IMDbSplits
from fastlstm.data.options import ReadOptions
from fastlstm.errors import DataError, OptionError
from fastlstm.language_model import corpus
from fastlstm.language_model.corpus import load_corpus, read_corpus_texts, split_texts
from fastlstm.text.tokenizer import BOUNDARY_ID

IMDB_SOURCE = "IMDb, all but the test split"
TEXTS = [np.arange(start, start + length, dtype=np.int32) for start, length in ((2, 5), (20, 1), (40, 9), (60, 4))]


@pytest.fixture
def imdb(tmp_path: Path) -> Path:
    """A small IMDb: one training review and one unlabelled review are also in the test split."""
    for part, texts in {
        "train/neg": ["dull", "seen before"],
        "train/pos": ["great"],
        "train/unsup": ["who knows", "seen before too"],
        "test/neg": ["poor", "seen before"],
        "test/pos": ["fine", "seen before too"],
    }.items():
        (tmp_path / part).mkdir(parents=True)
        for i, text in enumerate(texts):
            (tmp_path / part / f"{i}_1.txt").write_text(text)
    return tmp_path


def test_imdb_is_all_reviews_except_the_test_split(imdb: Path) -> None:
    lines: list[str] = []
    texts = read_corpus_texts("imdb", data_dir=imdb, log=lines.append)
    assert texts == UnlabelledTexts(["dull", "seen before", "great", "who knows", "seen before too"], IMDB_SOURCE)
    assert len(lines) == 1
    assert lines[0].startswith("2 of the 5 ")


def test_imdb_without_unlabelled_reviews_is_its_training_reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = Dataset(["dull", "great"], ["negative", "positive"]), Dataset(["fine"], ["positive"])
    splits = IMDbSplits(train, test, "the training split, from a package", "held-out part")
    monkeypatch.setattr(corpus, "load_imdb", lambda *_, **__: splits)
    lines: list[str] = []
    assert read_corpus_texts("imdb", log=lines.append).texts == ["dull", "great"]
    assert len(lines) == 1
    assert lines[0].startswith("the training split, from a package: ")


def test_imdb_as_validation_texts_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        load_corpus(UnlabelledTexts(["a", "b"]), "imdb")
    assert raised.value.code == "test-split-as-validation"


def test_a_path_and_its_name_are_the_same_texts(tmp_path: Path) -> None:
    file = tmp_path / "more.txt"
    file.write_text("one\ntwo\n")
    expected = UnlabelledTexts(["one", "two"], "more.txt")
    assert read_corpus_texts(str(file)) == read_corpus_texts(file) == expected


def test_several_paths_are_joined_in_order(imdb: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.txt"
    file.write_text("one\ntwo\n")
    assert read_corpus_texts([file, file]) == UnlabelledTexts(["one", "two"] * 2, "more.txt, more.txt")
    joined = read_corpus_texts([Path("imdb"), file], data_dir=imdb)
    assert joined.texts[-3:] == ["seen before too", "one", "two"]
    assert joined.source == f"{IMDB_SOURCE}, more.txt"


def test_texts_in_memory_are_read_without_blank_ones() -> None:
    assert read_corpus_texts(["one", "two"]).texts == ["one", "two"]
    assert read_corpus_texts(Dataset(["one", " "], ["x", "y"], "mine")) == UnlabelledTexts(["one"], "mine")
    assert read_corpus_texts(UnlabelledTexts(["one", ""], "mine")) == UnlabelledTexts(["one"], "mine")


def test_a_number_among_texts_raises_data_error_with_its_source() -> None:
    with pytest.raises(DataError) as raised:
        read_corpus_texts(UnlabelledTexts(["one", 2], "mine"))  # type: ignore[list-item]
    assert raised.value.code == "not-a-text"
    assert raised.value.source == "mine"


def test_an_empty_list_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        read_corpus_texts([])
    assert raised.value.code == "empty-dataset"


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 1), (0.5, 5), (0.99, 9)])
def test_a_fraction_holds_out_at_least_one_text_and_never_all(fraction: float, count: int) -> None:
    texts = UnlabelledTexts([f"text {i}" for i in range(10)], "mine")
    parts = split_texts(texts, fraction)
    assert (len(parts.validation), len(parts.training)) == (count, 10 - count)
    assert sorted([*parts.training.texts, *parts.validation.texts]) == texts.texts
    assert (parts.training.source, parts.validation.source) == ("mine", "mine (held out)")
    assert split_texts(texts, fraction) == parts


def test_a_fraction_out_of_range_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        load_corpus(UnlabelledTexts(["a", "b"]), 1)
    assert (raised.value.code, raised.value.fraction) == ("bad-fraction", 1.0)


def test_splitting_a_single_text_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        load_corpus(UnlabelledTexts(["a"], "mine"), 0.5)
    assert (raised.value.code, raised.value.source, raised.value.count) == ("too-few-texts", "mine", 1)


def test_a_missing_validation_file_raises_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_corpus(UnlabelledTexts(["a"], "mine"), tmp_path / "nowhere.txt")
    assert raised.value.code == "file-not-found"


def test_validation_texts_may_be_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("body,label\nfine,x\na,x\n")
    texts = load_corpus(UnlabelledTexts(["a", "b"]), tmp_path / "v.csv", reading=ReadOptions(text_column="body"))
    assert texts.training == UnlabelledTexts(["a", "b"])
    assert texts.validation == UnlabelledTexts(["fine", "a"], "v.csv")
    assert texts.overlap == 1


def flatten(streams: np.ndarray) -> list[int]:
    """Return the tokens of all streams, one stream after the other."""
    return [int(token) for stream in streams.T for token in stream]


def test_streams_contain_every_text_once_between_boundaries() -> None:
    tokens = flatten(corpus.token_streams(TEXTS, 1, np.random.default_rng(3), reverse=False))
    assert tokens[0] == tokens[-1] == BOUNDARY_ID
    pieces = " ".join(map(str, tokens)).split(f" {BOUNDARY_ID} ")
    texts = sorted(tuple(int(t) for t in piece.split() if int(t) != BOUNDARY_ID) for piece in pieces)
    assert texts == sorted(tuple(text.tolist()) for text in TEXTS)


def test_reversed_streams_contain_reversed_texts() -> None:
    tokens = flatten(corpus.token_streams(TEXTS[:1], 1, np.random.default_rng(3), reverse=True))
    assert tokens == [BOUNDARY_ID, 6, 5, 4, 3, 2, BOUNDARY_ID]


def test_streams_have_equal_length_and_drop_fewer_tokens_than_there_are_streams() -> None:
    tokens = flatten(corpus.token_streams(TEXTS, 1, np.random.default_rng(3), reverse=False))
    streams = corpus.token_streams(TEXTS, 5, np.random.default_rng(3), reverse=False)
    assert streams.shape == (len(tokens) // 5, 5)
    assert flatten(streams) == tokens[: streams.size]


def test_targets_of_windows_are_the_next_tokens() -> None:
    streams = corpus.token_streams(TEXTS, 2, np.random.default_rng(0), reverse=False)
    windows = list(corpus.windows(streams, 4))
    assert len(windows) == corpus.window_count(len(streams), 4)
    np.testing.assert_array_equal(np.concatenate([window.inputs for window in windows]), streams[:-1])
    np.testing.assert_array_equal(np.concatenate([window.targets for window in windows]), streams[1:])


def test_windows_may_start_at_a_later_one() -> None:
    streams = corpus.token_streams(TEXTS, 2, np.random.default_rng(0), reverse=False)
    windows, later = list(corpus.windows(streams, 4)), list(corpus.windows(streams, 4, 1))
    assert len(later) == len(windows) - 1
    np.testing.assert_array_equal(later[0].inputs, windows[1].inputs)


@pytest.mark.parametrize(("tokens", "expected"), [(10, 1), (20 * 8 * 3, 3), (10**6, 64)])
def test_small_corpora_get_fewer_streams(tokens: int, expected: int) -> None:
    assert corpus.limit_streams(64, 8, tokens) == expected
