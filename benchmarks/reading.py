"""Reading of labelled texts: dialects of CSV files, equal data sets from six readers, and speed.

    python benchmarks/reading.py dialects [--tables 100000] [--seed 0]
    python benchmarks/reading.py readers [--tables 10000] [--seed 0]
    python benchmarks/reading.py speed IMDB_FOLDER [--megabytes 1000] [--before FOLDER] [--file FILE]
    python benchmarks/reading.py detection [--tables 2000] [--seed 0]

`dialects` writes random tables with Python's csv module, pandas, Polars, without quoting and as Excel does, and reads
them. It fails if a table is read differently without a note about the doubt. `readers` reads the same table as CSV,
TSV, JSON Lines, Parquet, pandas and Polars. `speed` compares with the package in FOLDER (the `src` of another commit)
and with other readers of CSV. `detection` compares with CleverCSV, which must be installed.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import machine
import random_tables
import reading_speed
from fastlstm.data import Dataset, as_dataset, read_dataset
from fastlstm.data.labels import normalize_label
from fastlstm.data.options import ReadOptions
from fastlstm.data.readers.labelled import read_labelled
from fastlstm.data.validation import normalize_text
from fastlstm.errors import DataError

Rows = Sequence[tuple[str, str]]
DOUBTS = {"doubtful-quoting", "stray-quotes"}
"""Codes of notes that say that a file may be read in another way."""
LABEL_VALUES: Sequence[Sequence[Any]] = (
    ("pos", "neg", " pos ", None),
    ("pos", "neg", "NA", "nan", ""),
    (0, 1),
    (1, 2, 3, None),
    (0.0, 1.0, None),
    (0.5, 1.0, 1.25),
    (True, False),
    ("True", "false", "FALSE", "true"),
    ("1", "1.0", "0", "0.0"),
    ("très bien", "pas bien"),
)
"""Values of a label column: strings, integers, floats and booleans, some of them missing."""
MAX_CASES_SHOWN = 5
PACKAGES = ["fastlstm", "pandas", "polars", "pyarrow"]


def main() -> None:
    """Run one part, print and save its raw result."""
    parser = machine.argument_parser(__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, tables in (("dialects", 100_000), ("readers", 10_000), ("detection", 2_000)):
        part = parts.add_parser(name)
        part.add_argument("--tables", type=int, default=tables)
        part.add_argument("--seed", type=int, default=0)
    part = parts.add_parser("speed")
    part.add_argument("data_dir", type=Path)
    part.add_argument("--megabytes", type=int, default=1000)
    part.add_argument("--before", type=Path, help="src of another commit")
    part.add_argument("--file", type=Path, help="CSV file to read; written if it does not exist")
    arguments = parser.parse_args()
    if arguments.part == "speed":
        result = reading_speed.measure(arguments.data_dir, arguments.megabytes, arguments.before, arguments.file)
    else:
        run: Callable[[int, int, Path], dict[str, Any]] = {
            "dialects": read_dialects, "readers": compare_readers, "detection": compare_detection,
        }[arguments.part]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            result = run(arguments.tables, arguments.seed, Path(folder))
    packages = [*PACKAGES, "clevercsv"] if arguments.part == "detection" else PACKAGES
    print(machine.save(f"reading_{arguments.part}", packages, result, publish=arguments.publish))
    if result.get("silently different"):
        sys.exit("some tables are read differently without a note")


def read_dialects(tables: int, seed: int, folder: Path) -> dict[str, Any]:
    """Write tables in random dialects, read them, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    by_writer: dict[str, Counter[str]] = {}
    started, shown = time.perf_counter(), 0
    for number in range(tables):
        file = random_file(seed, number)
        path = folder / file.name
        path.write_bytes(file.content)
        outcome = read_outcome(path, file.rows)
        outcomes[outcome] += 1
        by_writer.setdefault(file.writer.split()[0], Counter())[outcome] += 1
        if outcome == "silently different" and shown < MAX_CASES_SHOWN:
            shown += 1
            print(f"table {number}, {file.name}, {file.writer}\n{file.content[:1000]!r}")
    seconds = time.perf_counter() - started
    print(f"{tables:,} tables, seed {seed}, {1000 * seconds / tables:.1f} ms per table")
    for outcome, count in outcomes.most_common():
        print(f"  {count:9,}  {outcome}")
    return {
        "tables": tables,
        "seed": seed,
        "seconds": seconds,
        "silently different": outcomes["silently different"],
        "outcomes": dict(outcomes.most_common()),
        "by_writer": {writer: dict(counts.most_common()) for writer, counts in sorted(by_writer.items())},
    }


def random_file(seed: int, number: int) -> random_tables.File:
    """Return table `number` of a run as a file."""
    generator = random.Random(f"{seed} {number}")
    while True:
        file = random_tables.write_random(generator, random_tables.random_rows(generator))
        if file is not None:
            return file


def read_outcome(path: Path, rows: Rows) -> str:
    """Return how a file is read: equal, refused, with reported rows, with a note about a doubt, or different."""
    try:
        dataset = read_dataset(path)
    except DataError as error:
        return f"refused: {error.code}"
    expected = usable(rows)
    read = list(zip(dataset.texts, dataset.labels, strict=True))
    reported = sorted({row.code for row in dataset.bad_rows})
    if len(dataset.bad_rows) == len(rows) - len(expected):
        reported = []  # rows without a text
    doubts = sorted({note.code for note in dataset.notes} & DOUBTS)
    if read == expected and not reported:
        return "equal"
    if reported:
        rest = "the others equal" if is_subsequence(read, expected) else "remainders of rows read"
        return f"rows reported, {rest}: {', '.join(reported)}"
    if doubts:
        return f"different, with a note: {', '.join(doubts)}"
    return "silently different"


def usable(rows: Rows) -> list[tuple[str, str]]:
    """Return the rows that a data set can contain."""
    result = []
    for text, label in rows:
        try:
            result.append((normalize_text(text), normalize_label(label)))
        except DataError:
            continue
    return result


def is_subsequence(part: Iterable[object], whole: Iterable[object]) -> bool:
    """Return whether `part` is `whole` without some of its elements."""
    remaining = iter(whole)
    return all(element in remaining for element in part)


def compare_readers(tables: int, seed: int, folder: Path) -> dict[str, Any]:
    """Read random tables with six readers and count those that do not give equal data sets."""
    different, shown, refused = 0, 0, 0
    started = time.perf_counter()
    for number in range(tables):
        generator = random.Random(f"{seed} {number}")
        texts: list[str | None] = [text for text, _ in random_tables.random_rows(generator)]
        texts = [generator.choice((None, "", text)) if generator.random() < 0.05 else text for text in texts]
        values = generator.choice(LABEL_VALUES)
        present = [value for value in values if value not in (None, "")]
        labels = [generator.choice(values if text else present) for text in texts]  # CSV files may have empty rows
        results = {name: reader(texts, labels, folder) for name, reader in READERS.items()}
        first = next(iter(results.values()))
        refused += isinstance(first, str)
        if any(result != first for result in results.values()):
            different += 1
            if shown < MAX_CASES_SHOWN:
                shown += 1
                print(number, texts, labels, results, sep="\n")
    print(f"{tables:,} tables through {len(READERS)} readers: {different} different; {refused} refused by all")
    return {
        "tables": tables,
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "readers": list(READERS),
        "silently different": different,
        "refused": refused,
    }


OPTIONS = ReadOptions(max_bad_share=1, quoting="double")
Contents = tuple[list[str], list[str], int] | str
"""The texts and labels of a data set, and the number of its bad rows; or the code of an error."""


def contents(read: Callable[[], Dataset]) -> Contents:
    """Return what is read."""
    try:
        dataset = read()
    except DataError as error:
        return error.code
    return dataset.texts, dataset.labels, len(dataset.bad_rows)


def through_delimited(extension: str, texts: list[str | None], labels: list[Any], folder: Path) -> Contents:
    """Write and read a CSV or TSV file."""
    path = folder / f"table{extension}"
    with path.open("w", encoding="utf-8", newline="") as file:
        output = csv.writer(file, delimiter="\t" if extension == ".tsv" else ",")
        output.writerows([("text", "label"), *zip(texts, labels, strict=True)])
    return contents(lambda: read_labelled(path, OPTIONS))


def through_json(texts: list[str | None], labels: list[Any], folder: Path) -> Contents:
    """Write and read a JSON Lines file."""
    path = folder / "table.jsonl"
    rows = ({"text": text, "label": label} for text, label in zip(texts, labels, strict=True))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return contents(lambda: read_labelled(path, OPTIONS))


def through_parquet(texts: list[str | None], labels: list[Any], folder: Path) -> Contents:
    """Write and read a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    path = folder / "table.parquet"
    table = pyarrow.table({"text": pyarrow.array(texts, pyarrow.string()), "label": pyarrow.array(labels)})
    parquet.write_table(table, path)
    return contents(lambda: read_labelled(path, OPTIONS))


def through_frame(module: str, texts: list[str | None], labels: list[Any], _: Path) -> Contents:
    """Make a data frame of pandas or Polars and read it."""
    import pandas
    import polars

    frame = (pandas if module == "pandas" else polars).DataFrame({"text": texts, "label": labels})
    return contents(lambda: as_dataset(frame, replace(OPTIONS, quoting=None)))


READERS: dict[str, Callable[[list[str | None], list[Any], Path], Contents]] = {
    "CSV": lambda *table: through_delimited(".csv", *table),
    "TSV": lambda *table: through_delimited(".tsv", *table),
    "JSON Lines": through_json,
    "Parquet": through_parquet,
    "pandas": lambda *table: through_frame("pandas", *table),
    "Polars": lambda *table: through_frame("polars", *table),
}


def compare_detection(tables: int, seed: int, folder: Path) -> dict[str, Any]:
    """Read tables in the dialect that CleverCSV detects, and as fastlstm does."""
    import clevercsv

    def clever_rows(path: Path) -> list[tuple[str, str]]:
        content = path.read_text(encoding="utf-8-sig")
        dialect = clevercsv.Sniffer().sniff(content)
        header, *table = list(clevercsv.reader(content.splitlines(keepends=True), dialect))
        text, label = header.index("text"), header.index("label")
        return usable([(cells[text], cells[label]) for cells in table if cells])

    def own_rows(path: Path) -> list[tuple[str, str]]:
        dataset = read_dataset(path)
        return list(zip(dataset.texts, dataset.labels, strict=True))

    result: dict[str, Any] = {"tables": tables, "seed": seed}
    for name, read in (("clevercsv", clever_rows), ("fastlstm", own_rows)):
        counts: Counter[str] = Counter()
        seconds = 0.0
        for number in range(tables):
            file = random_file(seed, number)
            path = folder / file.name
            path.write_bytes(file.content)
            started = time.perf_counter()
            try:
                rows = read(path)
            except Exception:  # noqa: BLE001 -- CleverCSV raises errors of many classes
                counts["error"] += 1
            else:
                counts["equal" if rows == usable(file.rows) else "different"] += 1
            seconds += time.perf_counter() - started
        result[name] = {**counts, "milliseconds_per_table": 1000 * seconds / tables}
        print(f"{name}: {result[name]}")
    return result


if __name__ == "__main__":
    main()
