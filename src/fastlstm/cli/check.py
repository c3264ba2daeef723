"""`fastlstm check`: check a dataset before training."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from fastlstm.cli import output
from fastlstm.cli.escaping import one_line
from fastlstm.cli.option_names import current_command, with_options
from fastlstm.cli.options import (
    PanelCommand,
    common_options,
    config_options,
    option,
    preset_option,
    split_source,
    table_options,
)
from fastlstm.cli.train import probability_options, require_sources

if TYPE_CHECKING:
    from rich.console import Console

    from fastlstm.checks import DatasetReport
    from fastlstm.checks.corpus import Example
    from fastlstm.checks.duplicates import Duplicates
    from fastlstm.checks.label_noise import LabelNoise
    from fastlstm.checks.languages import Languages
    from fastlstm.checks.statistics import Lengths, Vocabulary
    from fastlstm.checks.text_quality import ClassCounts, TextIssue

DEFAULT_MAX_EXAMPLES = 20
MAX_EXAMPLES_SHOWN = 5
"""Examples printed per finding, except suspect labels, which are all printed."""
MAX_PROBABILITY_SHOWN = 0.999
"""A higher probability is printed as this one, since 100.0% would suggest certainty."""


@click.command("check", cls=PanelCommand)
@click.argument("data")
@option(
    "--validation",
    default="0.2",
    show_default=True,
    metavar="DATA|FRACTION",
    panel="Data",
    help="Validation texts: a fraction of DATA, or a dataset.",
)
@option(
    "--test",
    metavar="DATA|FRACTION",
    panel="Data",
    help="Test texts: a fraction of DATA, or a dataset.",
)
@table_options
@probability_options
@preset_option
@config_options("vocabulary_size", "max_tokens", "truncate", "seed")
@option(
    "--label-noise/--no-label-noise",
    default=True,
    show_default=True,
    panel="Checks",
    help="Look for suspect labels, the slowest check.",
)
@option(
    "--max-examples",
    type=click.IntRange(1),
    default=DEFAULT_MAX_EXAMPLES,
    show_default=True,
    panel="Checks",
    help="Examples per finding.",
)
@option(
    "--plots-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    panel="Output",
    help="Save plots of the findings to this folder.",
)
@common_options
def command(
    data: str,
    validation: str,
    test: str | None,
    plots_dir: Path | None,
    as_json: bool,
    options: Mapping[str, Any],
    **settings: Any,
) -> None:
    """Check a labelled dataset before training.

    DATA is read and split as fastlstm train does with the same options. The report covers class balance, lengths,
    vocabulary, languages, text issues, duplicates and suspect labels, with recommendations.
    """
    validation_source, test_source = split_source(validation), None if test is None else split_source(test)
    require_sources(data, validation_source, test_source)  # before the slow import of PyTorch
    from fastlstm import checks
    from fastlstm.cli.progress import Display
    from fastlstm.serialization import atomic

    if plots_dir is not None:
        _check_plots_dir(plots_dir)
    with Display(sys.stderr) as display:
        report = checks.check(
            data,
            validation=validation_source,
            test=test_source,
            log=display.note,
            progress=display.download,
            **settings,
            **options,
        )
    if as_json:
        output.json_object(report.to_json())
    else:
        print_report(report, sys.stdout)
    if plots_dir is not None:
        plots_dir.resolve().mkdir(parents=True, exist_ok=True)
        for name, content in report.plots().items():
            atomic.write_file(plots_dir / name, content)
        output.note(f"plots saved to {plots_dir}")
        output.note_missing_fonts(labels=list(next(iter(report.parts.values())).classes))


def print_report(report: DatasetReport, file: TextIO) -> None:
    """Print every finding with examples and recommendations. Labels come last, since they have the most examples."""
    console = output.console(file)
    texts = sum(part.texts for part in report.parts.values())
    console.print(f"{one_line(report.data)}: {texts:,} texts", soft_wrap=True)
    for title, finding, print_finding in (
        ("Rows", "rows", partial(_print_reading, console, report)),
        ("Classes", "classes", partial(_print_classes, console, report.parts)),
        ("Lengths (tokens)", "lengths", partial(_print_lengths, console, report.lengths)),
        ("Vocabulary", "vocabulary", partial(_print_vocabulary, console, report.vocabulary)),
        ("Languages", "languages", partial(_print_languages, console, report.languages)),
        ("Text issues", "text_issues", partial(_print_text_issues, console, report.text_issues)),
        ("Duplicates", "duplicates", partial(_print_duplicates, console, report.duplicates)),
        ("Labels", "label_noise", partial(_print_label_noise, console, report.label_noise)),
    ):
        recommendations = report.recommendations.get(finding, ())
        if finding == "rows" and not report.reading:
            continue
        if finding == "label_noise" and report.label_noise is None and not recommendations:
            continue  # not requested
        console.print(f"\n{title}", style="bold")
        print_finding()
        none = [] if finding == "rows" else ["no problems found"]
        for text in [recommendation.text for recommendation in recommendations] or none:
            _print_sentence(console, f"-> {text}")


def _check_plots_dir(folder: Path) -> None:
    """Raise an error if the plots cannot be drawn or saved, before the checks run."""
    from fastlstm.errors import OptionError
    from fastlstm.plots import require_matplotlib
    from fastlstm.serialization import atomic

    require_matplotlib()
    if folder.exists() and not folder.is_dir():
        raise OptionError(
            f"--plots-dir is {str(folder)!r}, which is a file; pass the name of a folder",
            code="not-a-folder",
            path=folder,
        )
    atomic.check_writable(folder / "classes.png")


def _print_classes(console: Console, parts: Mapping[str, ClassCounts]) -> None:
    table = output.make_table("class", *parts)
    training = next(iter(parts.values())).classes
    by_size = sorted(training, key=training.__getitem__, reverse=True)
    for name in by_size[: output.MAX_CLASSES_SHOWN]:
        table.add_row(name, *(f"{part.classes[name]:,}" for part in parts.values()))
    if others := by_size[output.MAX_CLASSES_SHOWN :]:
        sums = (sum(part.classes[name] for name in others) for part in parts.values())
        table.add_row(f"{len(others):,} smaller classes", *(f"{texts:,}" for texts in sums))
    table.add_row("total", *(f"{part.texts:,}" for part in parts.values()))
    console.print(table)


def _print_lengths(console: Console, lengths: Lengths) -> None:
    table = output.make_table("part", "min", "5%", "25%", "median", "75%", "95%", "99%", "max", "mean")
    for name, part in lengths.parts.items():
        percentiles = (part.min, part.p5, part.p25, part.median, part.p75, part.p95, part.p99, part.max)
        table.add_row(name, *(f"{length:,}" for length in percentiles), f"{part.mean:,.0f}")
    console.print(table)
    table = output.make_table("limit", "max_tokens", "truncate", "texts truncated", "tokens dropped")
    for limit in lengths.truncation:
        table.add_row(
            limit.name, f"{limit.max_tokens:,}", limit.truncate, f"{limit.texts:.1%}", f"{limit.tokens:.1%}"
        )
    console.print(table)


def _print_vocabulary(console: Console, vocabulary: Vocabulary) -> None:
    table = output.make_table("tokens", *vocabulary.unknown)
    table.add_row("not in the vocabulary", *(f"{fraction:.1%}" for fraction in vocabulary.unknown.values()))
    table.add_row("not in the training texts", *(f"{fraction:.1%}" for fraction in vocabulary.unseen.values()))
    console.print(table)
    _print_sentence(
        console,
        f"size {vocabulary.size:,}; the training texts have {vocabulary.training_words:,} distinct words, of which "
        f"{vocabulary.singletons:,} occur once",
    )
    if vocabulary.missing:
        words = (f"{word.word} ({word.training + word.held_out:,})" for word in vocabulary.missing)
        _print_sentence(console, f"most frequent missing words: {', '.join(words)}")


def _print_languages(console: Console, languages: Languages) -> None:
    for kind, counts in (("scripts", languages.scripts), ("languages", languages.languages)):
        if counts is not None:
            _print_sentence(console, f"{kind}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}")
    _print_examples(console, languages.minority_examples)


def _print_reading(console: Console, report: DatasetReport) -> None:
    """Print how the rows were read, and all rows that cannot be used."""
    for note in report.reading:
        if note.code != "rows-skipped":
            _print_sentence(console, with_options(note.text, current_command()))
    if report.bad_rows:
        _print_sentence(console, f"rows that cannot be used: {len(report.bad_rows):,}")
    for row in report.bad_rows:
        content = f": {row.content}" if row.content else ""
        _print_line(console, f"{row.source} {row.location}: {with_options(row.reason, current_command())}{content}")


def _print_text_issues(console: Console, issues: Iterable[TextIssue]) -> None:
    for issue in issues:
        _print_sentence(console, f"{issue.kind}: {_join_counts(issue.texts)}")
        _print_examples(console, issue.examples)


def _print_duplicates(console: Console, duplicates: Duplicates) -> None:
    _print_sentence(console, f"repeated within a part: {_join_counts(duplicates.within)}")
    for kind, texts in (
        ("contradicting labels", duplicates.contradicting),
        ("most frequent", duplicates.repeated),
    ):
        if texts:
            _print_sentence(console, f"{kind}:")
        for text in texts[:MAX_EXAMPLES_SHOWN]:
            locations = ", ".join(f"{e.part} {e.location} ({e.label})" for e in text.examples)
            more = ", ..." if text.times > len(text.examples) else ""
            _print_line(console, f"{text.times:,} times: {text.examples[0].text}")
            _print_line(console, f"   {locations}{more}")


def _print_label_noise(console: Console, noise: LabelNoise | None) -> None:
    if noise is None:
        return
    _print_sentence(
        console,
        f"a bag of words, by cross-validation, predicts the label of {noise.agreement:.1%} of {noise.checked:,} texts",
    )
    if not noise.is_reliable:
        return
    _print_sentence(console, f"suspect labels: {_join_counts(noise.suspect)}")
    if noise.confusions:
        pairs = (f"{c.label} -> {c.suggested} {c.texts:,}" for c in noise.confusions[:MAX_EXAMPLES_SHOWN])
        _print_sentence(console, f"most frequent: {', '.join(pairs)}")
    rows = [
        (
            *_location_cells(suspect.example),
            f"-> {suspect.suggested}",
            f"{min(suspect.suggested_probability, MAX_PROBABILITY_SHOWN):.1%}",
            suspect.example.text,
        )
        for suspect in noise.suspect_labels
    ]
    _print_rows(console, rows)


def _print_examples(console: Console, examples: tuple[Example, ...]) -> None:
    _print_rows(console, [(*_location_cells(example), example.text) for example in examples[:MAX_EXAMPLES_SHOWN]])


def _location_cells(example: Example) -> tuple[str, str, str]:
    return example.part, str(example.location), example.label


def _print_rows(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Print aligned columns. The last column, a text, is cut off at the width of the console."""
    rows = [tuple(map(one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, text in rows:
        _print_line(console, "  ".join([*map(str.ljust, cells, widths), text]))


def _print_line(console: Console, text: str) -> None:
    console.print(f"    {one_line(text)}", no_wrap=True, overflow="ellipsis", crop=True)


def _print_sentence(console: Console, text: str) -> None:
    """Print a wrapped sentence with a hanging indent."""
    lines = textwrap.wrap(text, console.width - 5, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        console.print(f"{'     ' if number else '  '}{line}", soft_wrap=True)


def _join_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count:,}" for part, count in counts.items())
