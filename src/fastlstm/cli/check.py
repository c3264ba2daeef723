"""What `fastlstm doctor DATA` prints: each finding in figures, some examples, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

from fastlstm.checks import DatasetReport
from fastlstm.checks.corpus import Example
from fastlstm.checks.duplicates import Duplicates
from fastlstm.checks.label_noise import LabelNoise
from fastlstm.checks.languages import Languages
from fastlstm.checks.lengths import Lengths
from fastlstm.checks.text_quality import ClassCounts, TextIssue
from fastlstm.checks.vocabulary import Vocabulary
from fastlstm.cli import output

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 5
"""Examples of what is not a label: the findings have more."""
MANY_CLASSES = 30
SUREST = 0.999
"""The folds are never certain, though figures rounded may look so."""


def report(found: DatasetReport, file: TextIO) -> None:
    """All of it, labels last: of them there is most to read."""
    console = output.console(file)
    console.print(f"{found.data}: {sum(part.texts for part in found.parts.values()):,} texts", soft_wrap=True)
    for title, name, figures in (
        ("Classes", "classes", partial(_classes, console, found.parts)),
        ("Lengths, in tokens", "lengths", partial(_lengths, console, found.lengths)),
        ("Vocabulary", "vocabulary", partial(_vocabulary, console, found.vocabulary)),
        ("Languages", "languages", partial(_languages, console, found.languages)),
        ("Blemishes", "blemishes", partial(_blemishes, console, found.blemishes)),
        ("Duplicates", "duplicates", partial(_duplicates, console, found.duplicates)),
        ("Labels", "label_noise", partial(_label_noise, console, found.label_noise)),
    ):
        if name == "label_noise" and found.label_noise is None and not found.advice[name]:
            continue  # nobody asked
        console.print(f"\n{title}", style="bold")
        figures()
        for sentence in found.advice[name] or ("nothing to do",):
            _say(console, f"-> {sentence}")


def _classes(console: Console, parts: Mapping[str, ClassCounts]) -> None:
    table = output.make_table("class", *parts)
    training = next(iter(parts.values())).classes
    by_size = sorted(training, key=training.__getitem__, reverse=True)
    for name in by_size[:MANY_CLASSES]:
        table.add_row(name, *(f"{part.classes[name]:,}" for part in parts.values()))
    rest = by_size[MANY_CLASSES:]
    if rest:
        sums = (sum(part.classes[name] for name in rest) for part in parts.values())
        table.add_row(f"{len(rest):,} smaller ones", *(f"{texts:,}" for texts in sums))
    table.add_row("in all", *(f"{part.texts:,}" for part in parts.values()))
    console.print(table)


def _lengths(console: Console, found: Lengths) -> None:
    table = output.make_table("part", "shortest", "5%", "25%", "median", "75%", "95%", "99%", "longest", "mean")
    for name, at in found.parts.items():
        lengths = (at.shortest, at.p5, at.p25, at.median, at.p75, at.p95, at.p99, at.longest)
        table.add_row(name, *(f"{length:,}" for length in lengths), f"{at.mean:,.0f}")
    console.print(table)
    table = output.make_table("limit", "max-tokens", "truncate", "texts cut", "tokens never read")
    for cut in found.cuts:
        table.add_row(cut.name, f"{cut.max_tokens:,}", cut.truncate, f"{cut.texts:.1%}", f"{cut.tokens:.1%}")
    console.print(table)


def _vocabulary(console: Console, found: Vocabulary) -> None:
    table = output.make_table("tokens", *found.unknown)
    table.add_row("not in the vocabulary", *(f"{share:.1%}" for share in found.unknown.values()))
    table.add_row("nowhere in training", *(f"{share:.1%}" for share in found.unseen.values()))
    console.print(table)
    _say(
        console,
        f"{found.size:,} entries; training has {found.words:,} different words, {found.once:,} of them once only",
    )
    if found.missing:
        words = (f"{word.word} ({word.training + word.held_out:,})" for word in found.missing)
        _say(console, f"most frequent of those not in it: {', '.join(words)}")


def _languages(console: Console, found: Languages) -> None:
    for kind, texts in (("scripts", found.scripts), ("languages", found.languages)):
        if texts is not None:
            _say(console, f"{kind}: {', '.join(f'{name} {count:,}' for name, count in texts.items())}")
    _examples(console, found.others)


def _blemishes(console: Console, found: Iterable[TextIssue]) -> None:
    for blemish in found:
        _say(console, f"{blemish.kind}: {_by_part(blemish.texts)}")
        _examples(console, blemish.examples)


def _duplicates(console: Console, found: Duplicates) -> None:
    _say(console, f"repeats within a part: {_by_part(found.within)}")
    for kind, repeated in (("contradicting labels", found.contradicting), ("most frequent", found.repeated)):
        if repeated:
            _say(console, f"{kind}:")
        for of_one in repeated[:SHOWN]:
            places = ", ".join(f"{e.part} {e.record} ({e.label})" for e in of_one.examples)
            more = ", ..." if of_one.times > len(of_one.examples) else ""
            _line(console, f"{of_one.times:,} times: {of_one.examples[0].text}")
            _line(console, f"   {places}{more}")


def _label_noise(console: Console, found: LabelNoise | None) -> None:
    if found is None:
        return
    _say(
        console,
        f"a bag of words that has not read a text gives {found.agreement:.1%} of {found.judged:,} their label",
    )
    _say(console, f"labels that look wrong: {_by_part(found.suspect)}")
    if found.confusions:
        pairs = (f"{c.label} -> {c.instead} {c.texts:,}" for c in found.confusions[:SHOWN])
        _say(console, f"most frequent: {', '.join(pairs)}")
    rows = [
        (*_place(doubt.example), f"-> {doubt.instead}", _percent(doubt.probability_instead), doubt.example.text)
        for doubt in found.doubts
    ]
    _rows(console, rows)


def _percent(probability: float) -> str:
    return f"{min(probability, SUREST):.1%}"


def _examples(console: Console, examples: tuple[Example, ...]) -> None:
    _rows(console, [(*_place(example), example.text) for example in examples[:SHOWN]])


def _place(example: Example) -> tuple[str, str, str]:
    return example.part, str(example.record), example.label


def _rows(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """A line each, columns one below the other, and of the text in the last one what the line has room for."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *columns, text in rows:
        _line(console, "  ".join([*map(str.ljust, columns, widths), text]))


def _line(console: Console, text: str) -> None:
    console.print(f"    {text}", no_wrap=True, overflow="ellipsis", crop=True)


def _say(console: Console, text: str) -> None:
    """A sentence, on as many lines as it takes, all but the first farther to the right."""
    lines = textwrap.wrap(text, console.width - 5, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        console.print(f"{'     ' if number else '  '}{line}", soft_wrap=True)


def _by_part(texts: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count:,}" for part, count in texts.items())
