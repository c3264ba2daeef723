"""Recommendations for each finding. A finding without a problem has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastlstm.checks.duplicates import Duplicates, Overlap
from fastlstm.checks.label_noise import FOLDS, MIN_AGREEMENT, MIN_GAIN, LabelNoise
from fastlstm.checks.languages import NO_LETTERS, UNSURE, Languages
from fastlstm.checks.statistics import TARGET_COVERAGE, Lengths, Vocabulary
from fastlstm.checks.text_quality import (
    BROKEN_CHARACTERS,
    FEW_LETTERS,
    HTML,
    MIN_TOKENS,
    VERY_SHORT,
    ClassCounts,
    TextIssue,
)
from fastlstm.data.classes import class_notes
from fastlstm.metrics import format_accuracy

MIN_IMBALANCE = 3
"""Ratio of the largest to the smallest class from which accuracy is misleading."""
MIN_CLASS_TEXTS = 20
"""Training texts per class below which a model cannot predict the class reliably."""
MIN_OVERLAP_FRACTION = 0.02
"""Fraction of repeated texts from which evaluation figures are clearly too optimistic."""
MIN_TRUNCATED_FRACTION = 0.01
MIN_UNKNOWN_FRACTION = 0.03
MIN_UNSEEN_FRACTION = 0.05
MAX_NAMES_SHOWN = 5
"""Classes or languages that a recommendation names."""


@dataclass(frozen=True)
class Recommendation:
    """A stable code, such as "imbalanced-classes", and one sentence: the finding and what to do."""

    code: str
    text: str


Recommendations = tuple[Recommendation, ...]

_TEXT_ISSUES = {
    VERY_SHORT: ("very-short-texts", f"{{}} with fewer than {MIN_TOKENS} tokens: check that they are complete"),
    FEW_LETTERS: ("few-letters", "{} with few letters: check that they are texts"),
    HTML: (
        "html",
        "{} with HTML tags or entities: remove them both here and in the texts that the model will classify",
    ),
    BROKEN_CHARACTERS: (
        "broken-characters",
        "{} with broken characters (wrong encoding): read their source again as UTF-8",
    ),
}


def recommend_for_classes(parts: Mapping[str, ClassCounts]) -> Recommendations:
    """Recommend what to do about imbalanced, small, similarly named and missing classes."""
    training = next(iter(parts.values())).classes
    largest, smallest = max(training, key=training.__getitem__), min(training, key=training.__getitem__)
    result = []
    if training[smallest] and training[largest] >= MIN_IMBALANCE * training[smallest]:
        ratio = training[largest] / training[smallest]
        result.append(
            Recommendation(
                "imbalanced-classes",
                f"{largest} has {ratio:.1f} times as many training texts as {smallest}: compare macro F1 instead "
                "of accuracy, and try `class_weights='balanced'`",
            )
        )
    if small := [name for name, texts in training.items() if texts < MIN_CLASS_TEXTS]:
        result.append(
            Recommendation(
                "small-classes",
                f"fewer than {MIN_CLASS_TEXTS} training texts in {_join_names(small)}: add texts or merge classes",
            )
        )
    result += [
        Recommendation("same-class-names", f"{_join_names(names)} differ only in case: merge them into one class")
        for names in _names_that_differ_in_case(training)
    ]
    result += [Recommendation(note.code, note.text) for note in class_notes(training, next(iter(parts)))]
    for part, counts in parts.items():
        if missing := [name for name, texts in counts.classes.items() if not texts]:
            result.append(
                Recommendation(
                    "missing-classes",
                    f"no {part} texts in {_join_names(missing)}: {part} figures do not cover these classes",
                )
            )
    return tuple(result)


def recommend_for_duplicates(duplicates: Duplicates, parts: Mapping[str, ClassCounts]) -> Recommendations:
    """Recommend what to do about texts in several parts, repeated texts and contradicting labels."""
    result = [_recommend_for_overlap(overlap, parts[overlap.part].texts) for overlap in duplicates.across]
    training, *others = duplicates.within
    if repeats := duplicates.within[training]:
        result.append(
            Recommendation(
                "repeated-training-texts",
                f"{_quantity(repeats, 'repeated text')} in {training}: they have more weight; remove all but one "
                "of each, unless intended",
            )
        )
    if any(duplicates.within[part] for part in others):
        counts = " and ".join(f"{_quantity(duplicates.within[part], 'repeated text')} in {part}" for part in others)
        result.append(
            Recommendation(
                "repeated-evaluation-texts",
                f"{counts}: figures count them more than once; remove all but one of each",
            )
        )
    if duplicates.contradictions:
        result.append(
            Recommendation(
                "contradicting-labels",
                f"{_quantity(duplicates.contradictions, 'distinct text')} with contradicting labels "
                f"({duplicates.contradicting_texts:,} with repetitions): keep one label for each, or remove them",
            )
        )
    return tuple(result)


def recommend_for_labels(noise: LabelNoise | None) -> Recommendations:
    """Recommend what to do about suspect labels; None means that there were too few texts to check."""
    if noise is None:
        return (
            Recommendation(
                "too-few-texts",
                f"too few texts to check labels: two classes or more need {FOLDS} distinct texts each",
            ),
        )
    result = []
    suspect = sum(noise.suspect.values())
    if not noise.is_reliable:
        result.append(
            Recommendation(
                "weak-baseline",
                f"the bag of words predicts {format_accuracy(noise.agreement, noise.checked)} of the labels (always "
                f"the most frequent class: {noise.majority:.1%}), too few to suspect labels: at least "
                f"{MIN_AGREEMENT:.0%} are needed, and {MIN_GAIN:.0%} of those outside the most frequent class; "
                "add texts",
            )
        )
    elif suspect:
        result.append(
            Recommendation(
                "suspect-labels",
                f"about {suspect:,} suspect labels ({suspect / noise.checked:.1%}): read these texts, the surest "
                "first, and correct wrong labels; difficult texts are suspected too",
            )
        )
    if noise.unchecked:
        result.append(
            Recommendation(
                "unchecked-labels",
                f"{_quantity(noise.unchecked, 'label')} not checked: the class has under {FOLDS} distinct texts",
            )
        )
    return tuple(result)


def recommend_for_lengths(lengths: Lengths) -> Recommendations:
    """Recommend a larger token limit if the configured one truncates many texts."""
    current = lengths.truncation[0]
    if current.texts < MIN_TRUNCATED_FRACTION:
        return ()
    larger = max(percentiles.p99 for percentiles in lengths.parts.values())
    return (
        Recommendation(
            "truncated-texts",
            f"{current.texts:.1%} of texts are longer than {current.max_tokens} tokens, and {current.tokens:.1%} "
            f"of all tokens are dropped: `max_tokens={larger}` keeps 99% of texts complete but trains more slowly; "
            "set truncate to select the part to keep",
        ),
    )


def recommend_for_vocabulary(vocabulary: Vocabulary) -> Recommendations:
    """Recommend what to do about words that are not in the vocabulary or not in the training texts."""
    part, unknown = list(vocabulary.unknown.items())[-1]
    unseen = vocabulary.unseen[part]
    result = []
    if unknown >= MIN_UNKNOWN_FRACTION and vocabulary.sufficient_size > vocabulary.requested_size:
        result.append(
            Recommendation(
                "small-vocabulary",
                f"{unknown:.1%} of the {part} tokens are unknown: `vocabulary_size={vocabulary.sufficient_size}` "
                f"covers {TARGET_COVERAGE:.0%} of the training tokens",
            )
        )
    if unseen >= MIN_UNSEEN_FRACTION:
        result.append(
            Recommendation(
                "unseen-words",
                f"{unseen:.1%} of the {part} tokens do not occur in the training texts, which no vocabulary size "
                f"can fix: add training texts, and check that the {part} texts are of the same kind",
            )
        )
    return tuple(result)


def recommend_for_languages(languages: Languages) -> Recommendations:
    """Recommend what to do about texts in another language or script than most."""
    counts = languages.scripts if languages.languages is None else languages.languages
    main, *others = [name for name in counts if name not in (UNSURE, NO_LETTERS)] or [UNSURE]
    result = []
    if others:
        texts = sum(counts[name] for name in others)
        names = _join_names([f"{name} {counts[name]:,}" for name in others])
        result.append(
            Recommendation(
                "mixed-languages",
                f"{_quantity(texts, 'text')} not in {main} ({names}): remove them, unless the model will classify "
                "such texts",
            )
        )
    if languages.languages is None:
        result.append(
            Recommendation(
                "no-language-detection",
                "only scripts were checked: to detect languages, run: pip install 'fastlstm[language]'",
            )
        )
    return tuple(result)


def recommend_for_text_issues(issues: Iterable[TextIssue]) -> Recommendations:
    """Recommend what to do about each kind of text issue."""
    result = []
    for issue in issues:
        code, text = _TEXT_ISSUES[issue.kind]
        result.append(Recommendation(code, text.format(_quantity(sum(issue.texts.values()), "text"))))
    return tuple(result)


def _recommend_for_overlap(overlap: Overlap, texts: int) -> Recommendation:
    degree = "slightly" if overlap.texts < MIN_OVERLAP_FRACTION * texts else "too"
    identical = "all" if overlap.identical == overlap.texts else f"{overlap.identical:,}"
    return Recommendation(
        "overlapping-parts",
        f"{overlap.texts:,} of {texts:,} {overlap.part} texts are also in {' or '.join(overlap.others)} "
        f"({identical} identical): {overlap.part} figures are {degree} optimistic; remove these texts "
        "from one of the parts",
    )


def _names_that_differ_in_case(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of two names or more that differ only in case."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _quantity(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _join_names(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES_SHOWN:,} more" if len(names) > MAX_NAMES_SHOWN else ""
    return ", ".join(names[:MAX_NAMES_SHOWN]) + more
