"""Check a dataset before training: run all checks and collect the findings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm import plots
from fastlstm.checks import recommendations as recommend
from fastlstm.checks.corpus import make_corpus, tokenize_corpus
from fastlstm.checks.duplicates import Duplicates, duplicate_groups, find_duplicates
from fastlstm.checks.label_noise import LabelNoise, find_label_noise
from fastlstm.checks.languages import Languages, find_languages
from fastlstm.checks.recommendations import Recommendations
from fastlstm.checks.statistics import Lengths, Vocabulary, measure_lengths, measure_vocabulary
from fastlstm.checks.text_quality import ClassCounts, TextIssue, count_classes, find_text_issues
from fastlstm.config import DEFAULT_PRESET, PRESETS, ModelConfig, configure
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.options import BadRow, split_read_options
from fastlstm.data.splits import DataSplits, SplitSource, load_splits
from fastlstm.errors import OptionError
from fastlstm.notes import Note

DEFAULT_MAX_EXAMPLES = 20


@dataclass(frozen=True)
class DatasetReport:
    """The findings of all checks.

    Attributes:
        data: Where the texts come from, in one line.
        reading: Notes about how the data was read: dialect, skipped rows, labels that look alike.
        bad_rows: All rows that cannot be used.
        parts: "training", "validation" and possibly "test" -> class counts.
        duplicates: Repeated texts, within and across parts.
        label_noise: Suspect labels. None if not requested, or if fewer than two classes have five distinct texts.
        lengths: Lengths in tokens, and the effect of token limits.
        vocabulary: The vocabulary of the training texts and its coverage.
        languages: Scripts and languages.
        text_issues: Very short texts, texts with few letters, HTML, broken characters.
        recommendations: "classes" or one of the fields above -> recommendations for that finding, possibly none.
    """

    data: str
    reading: tuple[Note, ...]
    bad_rows: tuple[BadRow, ...]
    parts: dict[str, ClassCounts]
    duplicates: Duplicates
    label_noise: LabelNoise | None
    lengths: Lengths
    vocabulary: Vocabulary
    languages: Languages
    text_issues: tuple[TextIssue, ...]
    recommendations: dict[str, Recommendations]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values, the output of `fastlstm check --json`.

        Every dataclass becomes an object with the names of its attributes. Fractions are numbers from 0 to 1.
        """
        return dataclasses.asdict(self)

    def plots(self) -> dict[str, bytes]:
        """Return plots of class balance, text lengths and label probabilities: file name -> PNG.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        classes = list(next(iter(self.parts.values())).classes)
        texts = {name: list(part.classes.values()) for name, part in self.parts.items()}
        limit = self.lengths.truncation[0].max_tokens
        figures = {
            "classes.png": plots.class_balance(classes, texts),
            "lengths.png": plots.text_lengths(self.lengths.histogram, self.lengths.histogram_max, limit),
        }
        if self.label_noise is not None:
            figures["label_noise.png"] = plots.label_probabilities(self.label_noise.histogram)
        return {name: plots.png(figure) for name, figure in figures.items()}


def check(
    data: Any,
    *,
    preset: str = DEFAULT_PRESET,
    validation: SplitSource = 0.2,
    test: SplitSource | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    label_noise: bool = True,
    max_examples: int = DEFAULT_MAX_EXAMPLES,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
    **options: Any,
) -> DatasetReport:
    """Check a dataset. It is read and split as `fastlstm.train` does with the same options.

    Args:
        data: "imdb", or labelled texts in a form that `fastlstm.train` accepts.
        preset: The configuration whose vocabulary size and token limit are checked.
        validation: The fraction of texts held out for validation, or a separate source.
        test: The fraction of texts held out for testing, or a separate source.
        data_dir: The folder that contains IMDb, for `data="imdb"`.
        label_noise: Look for suspect labels, which takes most of the time.
        max_examples: The maximum number of examples per finding, at least 1.
        log: Called with one line before each step.
        progress: Called with the progress of a download.
        options: Attributes of `fastlstm.data.options.ReadOptions`, such as `text_column`, and fields of
            `ModelConfig` and `TrainingConfig`. Of the fields, only `vocabulary_size`, `max_tokens`, `truncate`
            and `seed` have an effect.

    Returns:
        The report. Equal data and options give equal reports.

    Raises:
        InputError: The data or an option is invalid.
        DownloadError: IMDb is not available.
    """
    if max_examples < 1:
        raise OptionError(
            f"max_examples is {max_examples}; expected 1 or more",
            code="bad-option-value",
            option="max_examples",
            value=max_examples,
        )
    reading, fields = split_read_options(options)
    reading = dataclasses.replace(reading, max_bad_share=1.0)  # all bad rows are listed
    model, training = configure(preset, fields)
    log = log or (lambda _: None)
    splits = load_splits(
        data,
        validation=validation,
        test=test,
        reading=reading,
        data_dir=None if data_dir is None else Path(data_dir),
        seed=training.seed,
        log=log,
        progress=progress,
    )
    log(f"data: {splits.origin}")
    limits = _token_limits(preset, model)
    return check_splits(splits, model, limits=limits, label_noise=label_noise, max_examples=max_examples, log=log)


def check_splits(
    splits: DataSplits,
    model: ModelConfig,
    *,
    limits: dict[str, ModelConfig],
    label_noise: bool,
    max_examples: int,
    log: Callable[[str], None],
) -> DatasetReport:
    """Check data that is already read. `limits`: name -> configuration whose token limit is checked."""
    parts = {"training": splits.training, "validation": splits.validation}
    if splits.test is not None:
        parts["test"] = splits.test
    corpus = make_corpus(parts)
    log(f"checking {len(corpus):,} texts")
    groups = duplicate_groups(corpus.texts)
    tokens = tokenize_corpus(corpus)
    noise = None
    if label_noise:
        log("checking labels with a bag of words, by cross-validation")
        noise = find_label_noise(corpus, groups, max_examples)
    class_counts = count_classes(corpus)
    duplicates = find_duplicates(corpus, groups, max_examples)
    lengths = measure_lengths(corpus, tokens.lengths, limits)
    vocabulary = measure_vocabulary(corpus, tokens, model.vocabulary_size, max_examples)
    languages = find_languages(corpus, max_examples)
    text_issues = find_text_issues(corpus, tokens.lengths, max_examples)
    return DatasetReport(
        data=splits.origin,
        reading=splits.notes,
        bad_rows=splits.bad_rows,
        parts=class_counts,
        duplicates=duplicates,
        label_noise=noise,
        lengths=lengths,
        vocabulary=vocabulary,
        languages=languages,
        text_issues=text_issues,
        recommendations={
            "classes": recommend.recommend_for_classes(class_counts),
            "duplicates": recommend.recommend_for_duplicates(duplicates, class_counts),
            "label_noise": recommend.recommend_for_labels(noise) if label_noise else (),
            "lengths": recommend.recommend_for_lengths(lengths),
            "vocabulary": recommend.recommend_for_vocabulary(vocabulary),
            "languages": recommend.recommend_for_languages(languages),
            "text_issues": recommend.recommend_for_text_issues(text_issues),
        },
    )


def _token_limits(preset: str, model: ModelConfig) -> dict[str, ModelConfig]:
    """Return the given configuration, then the other presets, by name.

    The given configuration has the name of the preset, or "given options" if its limit differs from the preset's.
    """
    own = PRESETS[preset].model
    is_preset = (model.max_tokens, model.truncate) == (own.max_tokens, own.truncate)
    name = preset if is_preset else "given options"
    others = {key: chosen.model for key, chosen in PRESETS.items() if key != name}
    return {name: model, **others}
