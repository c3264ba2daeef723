"""The texts of a language model's run: to learn from, and to measure perplexity on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from fastlstm._typing import TokenIds
from fastlstm.data import Dataset, UnlabelledTexts
from fastlstm.data.datasets import load_imdb
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.readers.plain_text import check_unlabelled_texts, joined_sources
from fastlstm.data.splits import IMDB, UnlabelledSource, read_unlabelled
from fastlstm.errors import DataError, OptionError
from fastlstm.text.tokenizer import BOUNDARY_ID

MIN_WINDOWS = 20
"""Few texts are read in fewer streams, so that an epoch has this many steps."""


@dataclass(frozen=True)
class Window:
    """What a step reads, [T, B] token ids, and what it is to foretell, each the token after."""

    read: TokenIds
    expected: TokenIds


def streams(texts: Sequence[TokenIds], count: int, generator: np.random.Generator, *, reverse: bool) -> TokenIds:
    """All texts in random order, a boundary before each, as `count` streams of one length: [length, count].

    Args:
        texts: token ids, without boundaries.
        reverse: every text from its end to its beginning.

    The last few tokens, fewer than `count`, are left out.
    """
    boundary = np.array([BOUNDARY_ID], np.int32)
    pieces: list[TokenIds] = []
    for i in generator.permutation(len(texts)):
        pieces += [boundary, texts[i][::-1] if reverse else texts[i]]
    joined = np.concatenate([*pieces, boundary])
    length = len(joined) // count
    return np.ascontiguousarray(joined[: length * count].reshape(count, length).T)


def fitting_streams(most: int, window: int, tokens: int) -> int:
    """As many streams as leave an epoch `MIN_WINDOWS` windows or more, at least one and at most `most`."""
    return max(1, min(most, tokens // (window * MIN_WINDOWS)))


def window_count(length: int, tokens: int) -> int:
    """Windows of `tokens` steps, the last one perhaps shorter, in streams of that length."""
    return -(-(length - 1) // tokens)


def windows(stream: TokenIds, tokens: int, start: int = 0) -> Iterator[Window]:
    """The windows of streams [length, B], from number `start` on."""
    for at in range(start * tokens, len(stream) - 1, tokens):
        end = min(at + tokens, len(stream) - 1)
        yield Window(stream[at:end], stream[at + 1 : end + 1])


MIN_TEXTS = 2
VALIDATION_SEED = 0
"""The texts held out are the same whatever a run's seed, so that runs compare."""

TextSource = UnlabelledSource | Sequence[os.PathLike[str]] | Dataset
"""What a caller may give: the name of data, or of several, texts, or records, whose labels do not matter."""


def read_training_texts(
    texts: TextSource,
    *,
    text_column: str = "text",
    data_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> UnlabelledTexts:
    """The texts to learn from; the further arguments are those of `fastlstm.data.splits.read_data`.

    "imdb" is its training and its unlabelled reviews; how many of them stand among the test reviews too is said.
    Raises `DataError` for whatever is wrong with them, `DownloadError` where IMDb can't be had.
    """
    if isinstance(texts, Dataset):
        return check_unlabelled_texts(texts.texts, texts.source)
    if isinstance(texts, UnlabelledTexts):
        return check_unlabelled_texts(texts.texts, texts.source)
    if isinstance(texts, str) and texts == IMDB:
        return _imdb(data_dir, say or (lambda _: None), progress)
    if not isinstance(texts, str | os.PathLike) and texts and all(isinstance(path, os.PathLike) for path in texts):
        names = [os.fspath(path) for path in texts if isinstance(path, os.PathLike)]
        parts = [
            read_training_texts(name, text_column=text_column, data_dir=data_dir, say=say, progress=progress)
            for name in names
        ]
        return UnlabelledTexts(
            [text for part in parts for text in part.texts], joined_sources([p.source for p in parts])
        )
    return read_unlabelled(cast("UnlabelledSource", texts), text_column=text_column)


def read_validation_texts(
    learned: UnlabelledTexts, validation: float | TextSource, *, text_column: str = "text"
) -> tuple[UnlabelledTexts, UnlabelledTexts]:
    """The texts to learn from, and those to measure on: a fraction of the former, or texts of their own.

    Raises `DataError` and `OptionError` as `split_validation`, and `DataError` for whatever is wrong with own texts.
    """
    if isinstance(validation, float | int | np.floating):
        return split_validation(learned, float(validation))
    if isinstance(validation, str) and validation == IMDB:
        raise DataError(
            "imdb can't choose the epoch: what of it is not learned from is its test split; "
            "give a fraction, or texts of their own"
        )
    return learned, read_training_texts(validation, text_column=text_column)


def split_validation(texts: UnlabelledTexts, fraction: float) -> tuple[UnlabelledTexts, UnlabelledTexts]:
    """The rest, and a random part of about `fraction`, at least one text, both in their order.

    Raises `OptionError` for a fraction outside 0..1, `DataError` for fewer than two texts.
    """
    if not 0 < fraction < 1:
        raise OptionError(
            f"the fraction to hold out is {fraction}; expected a number between 0 and 1, such as 0.01"
        )
    if len(texts) < MIN_TEXTS:
        raise DataError(f"{texts.source} holds {len(texts)} text; expected {MIN_TEXTS} or more")
    order = np.random.default_rng(VALIDATION_SEED).permutation(len(texts))
    count = min(max(1, round(len(texts) * fraction)), len(texts) - 1)
    rest, chosen = (
        UnlabelledTexts([texts.texts[i] for i in sorted(of)], texts.source) for of in (order[count:], order[:count])
    )
    return rest, dataclasses.replace(chosen, source=f"{texts.source} (held out)")


def _imdb(data_dir: Path | None, say: Callable[[str], None], progress: DownloadProgress | None) -> UnlabelledTexts:
    imdb = load_imdb(data_dir, say=say, progress=progress)
    texts = list(imdb.train.texts)
    if imdb.test_note is None:
        texts += read_unlabelled(IMDB, data_dir=data_dir, say=say, progress=progress).texts
    else:
        say(f"{imdb.origin}: it lacks the unlabelled reviews, so the training reviews alone are read")
    test = set(imdb.test.texts)
    if repeated := sum(text in test for text in texts):
        say(f"{repeated:,} of the {len(texts):,} reviews learned from stand in the test split too")
    return UnlabelledTexts(texts, "IMDb, all but the test split")
