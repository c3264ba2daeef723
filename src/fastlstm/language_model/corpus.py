"""Texts of a language model run: read them, hold some out for validation, cut token streams into windows."""

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
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.plain_text import check_unlabelled_texts, join_sources
from fastlstm.data.splits import IMDB, UnlabelledSource, read_unlabelled
from fastlstm.errors import DataError, OptionError
from fastlstm.text.tokenizer import BOUNDARY_ID

MIN_TEXTS = 2
VALIDATION_SEED = 0
"""The held-out texts do not depend on the seed of the run, so that runs are comparable."""
MIN_WINDOWS = 20
"""Minimum number of windows per epoch; small corpora get fewer streams."""

TextSource = UnlabelledSource | Sequence[os.PathLike[str]] | Dataset
"""Texts: the name of a dataset, one path or several, a list of texts, or a dataset whose labels are ignored."""


@dataclass(frozen=True)
class CorpusSplits:
    """The texts to train on, and those that perplexity is measured on."""

    training: UnlabelledTexts
    validation: UnlabelledTexts

    @property
    def overlap(self) -> int:
        """The number of validation texts that are also training texts."""
        training = set(self.training.texts)
        return sum(text in training for text in self.validation.texts)


def load_corpus(
    texts: TextSource,
    validation: float | TextSource,
    *,
    reading: ReadOptions | None = None,
    data_dir: Path | None = None,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> CorpusSplits:
    """Read the texts of a run.

    Args:
        texts: The texts to train on. "imdb" means all reviews except the test split.
        validation: The fraction of the texts to hold out, or separate texts.
        reading: How files are read.
        data_dir: The folder of IMDb.
        log, progress: Called while IMDb is downloaded and read, as by `load_imdb`.

    Raises:
        DataError: The texts are invalid, fewer than two, or `validation` is "imdb".
        OptionError: The fraction is not between 0 and 1.
        DownloadError: IMDb is not available.
    """
    training = read_corpus_texts(texts, reading=reading, data_dir=data_dir, log=log, progress=progress)
    if isinstance(validation, float | int | np.floating):
        return split_texts(training, float(validation))
    if isinstance(validation, str) and validation == IMDB:
        raise DataError(
            "imdb cannot be the validation texts: its held-out texts are the test split, which must not select a "
            "model; pass a fraction such as 0.01, or other texts",
            code="test-split-as-validation",
        )
    return CorpusSplits(training, read_corpus_texts(validation, reading=reading))


def read_corpus_texts(
    texts: TextSource,
    *,
    reading: ReadOptions | None = None,
    data_dir: Path | None = None,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> UnlabelledTexts:
    """Read texts of any source. Arguments and errors are those of `load_corpus`."""
    if isinstance(texts, Dataset | UnlabelledTexts):
        return check_unlabelled_texts(texts.texts, texts.source)
    if isinstance(texts, str) and texts == IMDB:
        return _read_imdb(data_dir, log or (lambda _: None), progress)
    if not isinstance(texts, str | os.PathLike) and texts and all(isinstance(path, os.PathLike) for path in texts):
        names = [os.fspath(path) for path in texts if isinstance(path, os.PathLike)]
        parts = [
            read_corpus_texts(name, reading=reading, data_dir=data_dir, log=log, progress=progress)
            for name in names
        ]
        return UnlabelledTexts(
            [text for part in parts for text in part.texts],
            join_sources([part.source for part in parts]),
            tuple(note for part in parts for note in part.notes),
        )
    return read_unlabelled(cast("UnlabelledSource", texts), reading=reading)


def split_texts(texts: UnlabelledTexts, fraction: float) -> CorpusSplits:
    """Hold out a random `fraction` of the texts, at least one text. Both parts keep the order of the texts.

    Raises:
        OptionError: The fraction is not between 0 and 1.
        DataError: There are fewer than two texts.
    """
    if not 0 < fraction < 1:
        raise OptionError(
            f"the held-out fraction is {fraction}; expected a number between 0 and 1, such as 0.01",
            code="bad-fraction",
            fraction=fraction,
        )
    if len(texts) < MIN_TEXTS:
        raise DataError(
            f"{texts.source} contains {len(texts)} text; expected {MIN_TEXTS} or more",
            code="too-few-texts",
            source=texts.source,
            count=len(texts),
        )
    order = np.random.default_rng(VALIDATION_SEED).permutation(len(texts))
    count = min(max(1, round(len(texts) * fraction)), len(texts) - 1)
    training, validation = (
        UnlabelledTexts([texts.texts[i] for i in sorted(part)], texts.source)
        for part in (order[count:], order[:count])
    )
    return CorpusSplits(
        dataclasses.replace(training, notes=texts.notes),
        dataclasses.replace(validation, source=f"{texts.source} (held out)"),
    )


def _read_imdb(
    data_dir: Path | None, log: Callable[[str], None], progress: DownloadProgress | None
) -> UnlabelledTexts:
    imdb = load_imdb(data_dir, log=log, progress=progress)
    texts = list(imdb.train.texts)
    if imdb.test_note is None:
        texts += read_unlabelled(IMDB, data_dir=data_dir, log=log, progress=progress).texts
    else:
        log(f"{imdb.origin}: no unlabelled reviews, so only the training reviews are used")
    test = set(imdb.test.texts)
    if overlap := sum(text in test for text in texts):
        log(f"{overlap:,} of the {len(texts):,} training reviews are also in the test split")
    return UnlabelledTexts(texts, "IMDb, all but the test split")


@dataclass(frozen=True)
class Window:
    """The input tokens of a step and their targets, each the token after its input: both [T, B] ids."""

    inputs: TokenIds
    targets: TokenIds


def token_streams(
    texts: Sequence[TokenIds], count: int, generator: np.random.Generator, *, reverse: bool
) -> TokenIds:
    """Join all texts in random order, with a boundary before each, into streams of equal length.

    Args:
        texts: Token ids, without boundaries.
        count: The number of streams. The last few tokens, fewer than `count`, are dropped.
        generator: Draws the order.
        reverse: Reverse the tokens of each text.

    Returns:
        [length, count] token ids.
    """
    boundary = np.array([BOUNDARY_ID], np.int32)
    pieces: list[TokenIds] = []
    for i in generator.permutation(len(texts)):
        pieces += [boundary, texts[i][::-1] if reverse else texts[i]]
    tokens = np.concatenate([*pieces, boundary])
    length = len(tokens) // count
    return np.ascontiguousarray(tokens[: length * count].reshape(count, length).T)


def limit_streams(max_streams: int, window: int, tokens: int) -> int:
    """Return the number of streams, at most `max_streams`, that gives an epoch at least `MIN_WINDOWS` windows."""
    return max(1, min(max_streams, tokens // (window * MIN_WINDOWS)))


def window_count(length: int, window: int) -> int:
    """Return the number of windows of `window` steps in streams of that length. The last window may be shorter."""
    return -(-(length - 1) // window)


def windows(streams: TokenIds, window: int, start: int = 0) -> Iterator[Window]:
    """Yield the windows of streams [length, B], from window number `start` on."""
    for step in range(start * window, len(streams) - 1, window):
        end = min(step + window, len(streams) - 1)
        yield Window(streams[step:end], streams[step + 1 : end + 1])
