"""Model cards of the bundled models: the training record, figures of held-out texts, the probes, and limits of use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastlstm.inference import Classifier
from fastlstm.metrics import Report
from fastlstm.pretrained import ENGLISH_ENCODER
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.serialization.model_card import language_model_card, model_card
from probe_results import UNDECIDED, ProbeResults
from probes import CHINESE, POSITIVE, load_probes

WORST_ERRORS = 10
IMDB_ORIGIN = """\
The Large Movie Review Dataset (Maas et al. 2011): 25,000 labelled and 50,000 unlabelled IMDb user reviews
from before 2011. It was released for research, names no license and asks to be cited; the reviews belong to
their authors. The model files contain no reviews, only a vocabulary and weights, under the MIT license of
fastlstm. The test split was not used in any stage of training.

Maas, Daly, Pham, Huang, Ng & Potts (2011), Learning Word Vectors for Sentiment Analysis, ACL."""
"""Origin and license of IMDb's reviews, in Markdown."""
MISUSE = """\
- Decisions about people: hiring, grades, credit, health, moderation without a human reader.
- Conclusions about one person's feelings or state of mind. The model classifies wording, not people.
- Texts that are not opinions, such as news, questions and chats. There is no class `neutral`; the table of facts and
  mixed verdicts shows how far from one half its answers are.
- Texts with opinions about several things: the answer is one label for the whole text.
- Irony, which the model often takes literally.
- Bare ratings and emoji: "2 stars" alone says little to the model, and it ignores emoji that it does not know, which
  are most.
- {others}: its answers are unreliable, even if `known`, the fraction of known words, is high.
- Comparisons of groups of people. Whether names, dialects or origins shift the answers was not measured."""


@dataclass(frozen=True)
class Figure:
    """The accuracy on some texts that the model was not trained on.

    Attributes:
        name: What the texts are, such as "IMDb test split, scored once".
        texts: Number of texts.
        accuracy: Fraction of correct answers.
        calibration_error: Expected calibration error, between 0 and 1; None if not measured.
    """

    name: str
    texts: int
    accuracy: float
    calibration_error: float | None = None


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        recipe: Path of the recipe in the repository.
        data: Data sets, their licenses and sources, in Markdown.
        seconds: Training time of each stage, in seconds.
        texts: Number of training texts of each kind.
        size: Bytes of the model's folder; None if not measured.
    """

    recipe: str
    data: str
    seconds: Mapping[str, float]
    texts: Mapping[str, int] = field(default_factory=dict)
    size: int | None = None


def sentiment_card(
    model: Classifier, name: str, language: str, figures: Mapping[str, Sequence[Figure]], origin: Origin
) -> str:
    """Return the README.md of a classifier of "negative" and "positive", with its answers to the probes.

    Args:
        model: The model as it is bundled.
        name: Its name in `fastlstm.load`.
        language: "english" or "chinese".
        figures: Figures of held-out texts, by the title of their table.
        origin: Data, cost and size.
    """
    title, _, card = model_card(model.saved).replace("this-folder", name).partition("\n")
    lines = [f"{title}: {name}", card, *_figure_lines(figures), *_probe_lines(answer_probes(model, language))]
    others = "Languages other than Chinese" if language == CHINESE else "Languages other than English"
    lines += ["", "## Do not use it for", "", MISUSE.format(others=others), "", *_origin_lines(origin)]
    return "\n".join(lines) + "\n"


def encoder_card(model: SavedLanguageModel, seconds: float) -> str:
    """Return the README.md of the encoder, which took `seconds` to train."""
    card = language_model_card(model).replace("this-folder", ENGLISH_ENCODER)
    lines = _origin_lines(Origin("recipes/english_encoder.py", IMDB_ORIGIN, {"language model": seconds}))
    return "\n".join((card, *lines)) + "\n"


def imdb_figures(scoring: Mapping[str, Any]) -> dict[str, list[Figure]]:
    """Return the figures of a result of `benchmarks/scoring.py`: the test split by length and by rating."""
    last = scoring["by_length"][-1]["from"]
    lengths = {
        f"{group['from']} or more" if group["from"] == last else f"{group['from']} to {group['below'] - 1}": group
        for group in scoring["by_length"]
    }
    ratings = {f"{group['rating']} of 10 stars": group for group in scoring["by_rating"]}
    return {
        title: [Figure(name, group["texts"], group["accuracy"]) for name, group in groups.items()]
        for title, groups in (("IMDb test split by tokens", lengths), ("IMDb test split by rating", ratings))
    }


def answer_probes(model: Classifier, language: str) -> ProbeResults:
    """Return the model's answers to the probes of a language."""
    probes = load_probes(language)
    probabilities = model.predict_proba([probe.text for probe in probes])
    return ProbeResults(language, probes, probabilities[:, model.labels.index(POSITIVE)].astype(np.float64))


def _figure_lines(figures: Mapping[str, Sequence[Figure]]) -> Iterator[str]:
    for title, rows in figures.items():
        yield from (f"## {title}", "")
        calibrated = any(row.calibration_error is not None for row in rows)
        columns = ["texts", "accuracy", *(["calibration error"] if calibrated else [])]
        yield from _table_head(["", *columns])
        for row in rows:
            error = "" if row.calibration_error is None else f"{row.calibration_error:.1%}"
            yield _row([row.name, f"{row.texts:,}", f"{row.accuracy:.1%}", *([error] if calibrated else [])])
        yield ""


def _probe_lines(results: ProbeResults) -> Iterator[str]:
    yield from ("## Sentences written for this card", "")
    yield f"`recipes/probe_sentences/{results.language}.tsv` has {len(results.probes)} sentences, as people type them"
    yield "into a demo. None of them is a training text, and nothing was chosen by them. Each row has few sentences, so"
    yield "small differences mean nothing."
    for title, reports in (
        ("kind", results.by_kind()),
        ("subject", results.by_subject()),
        (results.unit, results.by_length()),
    ):
        yield from ("", *_table_head([title, "correct", "accuracy"]))
        yield from (_report_row(name, report) for name, report in reports.items())
        if title == "kind":
            yield _report_row("**all**", results.total)
    yield from ("", *_neutral_lines(results))
    short = results.short
    yield ""
    yield f"Calibration error on the {short.texts} labelled sentences of at most {results.short_limit}:"
    yield f"{short.calibration_error:.1%}."
    yield from ("", "The most confident errors:", "")
    yield from _table_head(["sentence", "kind", "wrong label's probability"])
    for probe, probability in results.worst_errors(WORST_ERRORS):
        yield _row([probe.text.replace("|", "\\|"), probe.kind, f"{probability:.0%}"])


def _neutral_lines(results: ProbeResults) -> Iterator[str]:
    low, high = UNDECIDED
    yield "Facts and mixed verdicts have no label; their probability should be near one half:"
    yield ""
    yield from _table_head(["kind", "sentences", "mean probability of `positive`", f"within {low} to {high}"])
    for kind, answers in results.neutral().items():
        yield _row([kind, str(answers.texts), f"{answers.mean:.2f}", str(answers.undecided)])


def _origin_lines(origin: Origin) -> Iterator[str]:
    yield from ("## Data, license and cost", "", origin.data, "")
    if origin.texts:
        yield from _table_head(["training texts", "number"])
        yield from (_row([kind, f"{number:,}"]) for kind, number in origin.texts.items())
        yield ""
    yield f"Trained by `{origin.recipe}`."
    stages = ", ".join(f"{stage} {seconds / 60:.0f} min" for stage, seconds in origin.seconds.items())
    yield f"Training times: {stages}."
    if origin.size is not None:
        yield f"Size of the model's folder: {origin.size / 1e6:.1f} MB."


def _report_row(name: str, report: Report) -> str:
    correct = round(report.accuracy * report.texts)
    return _row([name, f"{correct} of {report.texts}", f"{report.accuracy:.0%}"])


def _table_head(columns: Sequence[str]) -> tuple[str, str]:
    return _row(columns), _row(["---"] * len(columns))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
