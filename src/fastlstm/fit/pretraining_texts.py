"""The texts of a language model's run: to learn from, and to measure perplexity on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from fastlstm.datasets import load_imdb
from fastlstm.datasets.download import Progress
from fastlstm.errors import DataError, OptionError
from fastlstm.fit.data import IMDB, Plain, read_plain
from fastlstm.records import Records, Texts
from fastlstm.records.texts import checked_texts, joined_sources

FEWEST_TEXTS = 2
VALIDATION_SEED = 0
"""The texts held out are the same whatever a run's seed, so that runs compare."""

Given = Plain | Sequence[os.PathLike[str]] | Records
"""What a caller may give: the name of data, or of several, texts, or records, whose labels do not matter."""


def read_learned(
    texts: Given,
    *,
    text_column: str = "text",
    data_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Texts:
    """The texts to learn from; the further arguments are those of `fastlstm.fit.data.read_data`.

    "imdb" is its training and its unlabelled reviews; how many of them stand among the test reviews too is said.
    Raises `DataError` for whatever is wrong with them, `DownloadError` where IMDb can't be had.
    """
    if isinstance(texts, Records):
        return checked_texts(texts.texts, texts.source)
    if isinstance(texts, Texts):
        return checked_texts(texts.texts, texts.source)
    if isinstance(texts, str) and texts == IMDB:
        return _imdb(data_dir, say or (lambda _: None), progress)
    if not isinstance(texts, str | os.PathLike) and texts and all(isinstance(path, os.PathLike) for path in texts):
        names = [os.fspath(path) for path in texts if isinstance(path, os.PathLike)]
        parts = [
            read_learned(name, text_column=text_column, data_dir=data_dir, say=say, progress=progress)
            for name in names
        ]
        return Texts([text for part in parts for text in part.texts], joined_sources([p.source for p in parts]))
    return read_plain(cast("Plain", texts), text_column=text_column)


def read_held_out(learned: Texts, validation: float | Given, *, text_column: str = "text") -> tuple[Texts, Texts]:
    """The texts to learn from, and those to measure on: a fraction of the former, or texts of their own.

    Raises `DataError` and `OptionError` as `hold_out`, and `DataError` for whatever is wrong with own texts.
    """
    if isinstance(validation, float | int | np.floating):
        return hold_out(learned, float(validation))
    if isinstance(validation, str) and validation == IMDB:
        raise DataError(
            "imdb can't choose the epoch: what of it is not learned from is its test split; "
            "give a fraction, or texts of their own"
        )
    return learned, read_learned(validation, text_column=text_column)


def hold_out(texts: Texts, fraction: float) -> tuple[Texts, Texts]:
    """The rest, and a random part of about `fraction`, at least one text, both in their order.

    Raises `OptionError` for a fraction outside 0..1, `DataError` for fewer than two texts.
    """
    if not 0 < fraction < 1:
        raise OptionError(
            f"the fraction to hold out is {fraction}; expected a number between 0 and 1, such as 0.01"
        )
    if len(texts) < FEWEST_TEXTS:
        raise DataError(f"{texts.source} holds {len(texts)} text; expected {FEWEST_TEXTS} or more")
    order = np.random.default_rng(VALIDATION_SEED).permutation(len(texts))
    count = min(max(1, round(len(texts) * fraction)), len(texts) - 1)
    rest, chosen = (
        Texts([texts.texts[i] for i in sorted(of)], texts.source) for of in (order[count:], order[:count])
    )
    return rest, dataclasses.replace(chosen, source=f"{texts.source} (held out)")


def _imdb(data_dir: Path | None, say: Callable[[str], None], progress: Progress | None) -> Texts:
    imdb = load_imdb(data_dir, say=say, progress=progress)
    texts = list(imdb.train.texts)
    if imdb.test_note is None:
        texts += read_plain(IMDB, data_dir=data_dir, say=say, progress=progress).texts
    else:
        say(f"{imdb.origin}: it lacks the unlabelled reviews, so the training reviews alone are read")
    test = set(imdb.test.texts)
    if repeated := sum(text in test for text in texts):
        say(f"{repeated:,} of the {len(texts):,} reviews learned from stand in the test split too")
    return Texts(texts, "IMDb, all but the test split")
