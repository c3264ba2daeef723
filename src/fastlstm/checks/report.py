"""All that is looked at in labelled texts before a model is trained on them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm import plots
from fastlstm.checks import advice
from fastlstm.checks.corpus import make_corpus, tokenize_corpus
from fastlstm.checks.duplicates import Duplicates, duplicate_groups, find_duplicates
from fastlstm.checks.label_noise import LabelNoise, find_label_noise
from fastlstm.checks.languages import Languages, find_languages
from fastlstm.checks.lengths import Lengths, measure_lengths
from fastlstm.checks.text_quality import ClassCounts, TextIssue, count_classes, find_text_issues
from fastlstm.checks.vocabulary import Vocabulary, measure_vocabulary
from fastlstm.config import DEFAULT_PRESET, PRESETS, ModelConfig, configure
from fastlstm.data import Dataset, splits
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.errors import OptionError

MOST = 20


@dataclass(frozen=True)
class DatasetReport:
    """What was found in labelled texts.

    `data` says where they come from; the parts are "training", "validation" and, where there is one, "test".
    `label_noise` is None where it was not asked for or fewer than two classes have five different texts.
    `advice` says what to do about each finding, in sentences under the finding's name; no sentence: nothing.
    """

    data: str
    parts: dict[str, ClassCounts]
    duplicates: Duplicates
    label_noise: LabelNoise | None
    lengths: Lengths
    vocabulary: Vocabulary
    languages: Languages
    blemishes: tuple[TextIssue, ...]
    advice: dict[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """The findings as JSON takes them."""
        return dataclasses.asdict(self)

    def plots(self) -> dict[str, bytes]:
        """Class balance, text lengths with the limit, and the labels' probabilities: file name -> PNG.

        Raises `MissingDependencyError` without matplotlib.
        """
        classes = list(next(iter(self.parts.values())).classes)
        texts = {name: list(part.classes.values()) for name, part in self.parts.items()}
        limit = self.lengths.cuts[0].max_tokens
        figures = {
            "classes.png": plots.class_balance(classes, texts),
            "lengths.png": plots.text_lengths(self.lengths.histogram, self.lengths.to, limit),
        }
        if self.label_noise is not None:
            figures["label_noise.png"] = plots.label_probabilities(self.label_noise.histogram)
        return {name: plots.png(figure) for name, figure in figures.items()}


def check(
    data: str | os.PathLike[str] | Dataset,
    *,
    preset: str = DEFAULT_PRESET,
    validation: splits.SplitSource = 0.2,
    test: splits.SplitSource | None = None,
    text_column: str = "text",
    label_column: str = "label",
    data_dir: str | os.PathLike[str] | None = None,
    label_noise: bool = True,
    most: int = MOST,
    say: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
    **options: Any,
) -> DatasetReport:
    """Examines labelled texts as `fastlstm.train` with the same options would read and split them.

    Args:
        data: "imdb"; a CSV, TSV, JSONL, Parquet or fastText file; a folder with one sub-folder a class; records.
        preset: the configuration whose vocabulary and limit of tokens are looked at.
        validation: the fraction of texts held out to choose the best epoch, or data of its own.
        test: the fraction of texts held out to measure, or data of its own.
        text_column, label_column: where texts and labels stand in tables.
        data_dir: the folder that holds IMDb, for `data="imdb"`.
        label_noise: look for wrong labels too, which takes most of the time.
        most: how many examples of each kind are named, 1 or more.
        say, progress: told of each step, and of a download's bytes.
        options: fields of `ModelConfig` and `TrainingConfig`, of which `vocabulary_size`, `max_tokens`, `truncate`
            and the `seed` of the validation split count.

    Returns:
        The findings. The same data and options give the same ones.

    Raises:
        InputError: something about the call or its data is wrong.
        DownloadError: IMDb can't be had.
    """
    if most < 1:
        raise OptionError(f"most is {most}; expected how many examples to name, 1 or more")
    model, training = configure(preset, options)
    say = say or (lambda _: None)
    read = splits.load_splits(
        data,
        validation=validation,
        test=test,
        text_column=text_column,
        label_column=label_column,
        data_dir=None if data_dir is None else Path(data_dir),
        seed=training.seed,
        say=say,
        progress=progress,
    )
    say(f"data: {read.origin}")
    return check_corpus(read, model, limits=_limits(preset, model), label_noise=label_noise, most=most, say=say)


def check_corpus(
    data: splits.DataSplits,
    model: ModelConfig,
    *,
    limits: dict[str, ModelConfig],
    label_noise: bool,
    most: int,
    say: Callable[[str], None],
) -> DatasetReport:
    """Examines data that was read; `limits`: the configurations whose `max_tokens` are looked at, by name."""
    texts = make_corpus(_parts(data))
    say(f"reading {len(texts):,} texts")
    groups = duplicate_groups(texts.texts)
    words = tokenize_corpus(texts)
    noise = None
    if label_noise:
        say("judging each label by a bag of words that has not read its text")
        noise = find_label_noise(texts, groups, most)
    parts = count_classes(texts)
    duplicates = find_duplicates(texts, groups, most)
    lengths = measure_lengths(texts, words.lengths, limits)
    vocabulary = measure_vocabulary(texts, words, model.vocabulary_size, most)
    languages = find_languages(texts, most)
    blemishes = find_text_issues(texts, words.lengths, most)
    return DatasetReport(
        data=data.origin,
        parts=parts,
        duplicates=duplicates,
        label_noise=noise,
        lengths=lengths,
        vocabulary=vocabulary,
        languages=languages,
        blemishes=blemishes,
        advice={
            "classes": advice.on_classes(parts),
            "duplicates": advice.on_duplicates(duplicates, parts),
            "label_noise": advice.on_label_noise(noise) if label_noise else (),
            "lengths": advice.on_lengths(lengths),
            "vocabulary": advice.on_vocabulary(vocabulary),
            "languages": advice.on_languages(languages),
            "blemishes": advice.on_blemishes(blemishes),
        },
    )


def _parts(data: splits.DataSplits) -> dict[str, Dataset]:
    parts = {"training": data.training, "validation": data.validation}
    return parts if data.test is None else {**parts, "test": data.test}


def _limits(preset: str, model: ModelConfig) -> dict[str, ModelConfig]:
    """The asked-for configuration first, and those of the presets that have another limit."""
    given = (model.max_tokens, model.truncate)
    own = PRESETS[preset].model
    name = preset if given == (own.max_tokens, own.truncate) else "as given"
    others = {key: chosen.model for key, chosen in PRESETS.items() if key != name}
    return {name: model, **others}
