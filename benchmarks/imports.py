"""Import random Keras 2 and 3 models, and compare their probabilities with Keras' own.

    python benchmarks/imports.py --tensorflow-python PYTHON_WITH_TENSORFLOW

Each model is made, saved and asked by Keras itself (benchmarks/imports_models.py): Keras 3 on PyTorch in this
interpreter; with --tensorflow-python, also Keras 3 on TensorFlow and Keras 2 (tf_keras), which have TextVectorization.
Then `fastlstm import` converts it with the options that its author would pass, and the saved model is loaded. The
outcome of a model is: equal (all texts within 1e-5 of Keras), refused (with a code), noted (different, and the import
says why), or different, which must not happen. Texts for which Keras raises an error or answers NaN, such as texts
without tokens, are counted.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
import machine
from fastlstm.cli.import_model import command
from fastlstm.errors import FastLSTMError

TOLERANCE = 1e-5
CHECK_EVERY = 3
"""One in so many imports verifies itself with --check against Keras' answers."""
SEEDS_PER_LIBRARY = 100_000
MAKER = Path(__file__).parent / "imports_models.py"


@dataclass(frozen=True)
class Outcome:
    """What became of one model: "equal", "refused", "noted" or "different"."""

    name: str
    kind: str
    code: str | None
    difference: float
    texts: int
    unanswered: int
    features: list[str]


def main() -> None:
    """Make the models, import them, print a summary and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("--models", type=int, default=310, help="models of Keras 3 on PyTorch")
    parser.add_argument("--tensorflow-models", type=int, default=100, help="models of each library on TensorFlow")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tensorflow-python", help="an interpreter with tensorflow, keras 3 and tf_keras")
    parser.add_argument("--folder", type=Path, help="keep the models here; an existing folder is not made again")
    arguments = parser.parse_args()
    libraries = {"keras3-torch": sys.executable}
    if arguments.tensorflow_python:
        libraries |= dict.fromkeys(("keras3-tensorflow", "keras2"), arguments.tensorflow_python)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)

        def make_all(number: int, library: str) -> str:
            seed = arguments.seed + SEEDS_PER_LIBRARY * number
            count = arguments.tensorflow_models if number else arguments.models
            return make(folder, library, libraries[library], seed, count)

        with ThreadPoolExecutor(len(libraries)) as executor:
            made = executor.map(make_all, range(len(libraries)), libraries)
            versions = dict(zip(libraries, made, strict=True))
        started = time.perf_counter()
        outcomes = [compare(case, Path(temporary) / "imported") for case in sorted(folder.glob("*/case.json"))]
        seconds = time.perf_counter() - started
    result = {"keras": versions, "seed": arguments.seed, "import_seconds": round(seconds, 1), **summary(outcomes)}
    for outcome in outcomes:
        if outcome.kind == "different":
            print(f"DIFFERENT {outcome.name}: {outcome.difference:.2g} ({', '.join(outcome.features)})")
    print(json.dumps({name: value for name, value in result.items() if name != "features"}, indent=2))
    print(machine.save("imports", ["fastlstm", "h5py", "tokenizers", "numpy"], result, publish=arguments.publish))
    sys.exit(1 if result["outcomes"].get("different") else 0)


def make(folder: Path, library: str, python: str, seed: int, count: int) -> str:
    """Make the models of one library, and return its version."""
    version = folder / f"{library}.json"
    if not version.exists():
        process = subprocess.run(
            [python, str(MAKER), str(folder), library, str(seed), str(count)],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            sys.exit(f"{library}: {process.stderr[-2000:]}")
        version.write_text(process.stdout.strip().splitlines()[-1])
    return str(json.loads(version.read_text())["keras"])


def compare(case_file: Path, output: Path) -> Outcome:
    """Import one model and compare it with Keras' answers."""
    case = json.loads(case_file.read_text(encoding="utf-8"))
    folder, name = case_file.parent, case_file.parent.name
    answers = [None if row is None or not np.isfinite(row).all() else row for row in case["answers"]]
    answered = [number for number, row in enumerate(answers) if row is not None]
    texts = [case["texts"][number] for number in answered]
    expected = probabilities(np.array([answers[number] for number in answered]), case["activation"])

    def outcome(kind: str, code: str | None = None, difference: float = 0.0) -> Outcome:
        unanswered = len(answers) - len(answered)
        return Outcome(name, kind, code, difference, len(texts), unanswered, [case["library"], *case["features"]])

    options = [str(folder / option) if (folder / option).is_file() else option for option in case["options"]]
    if expected.shape[1] > 1 and len(texts) and int(name.rpartition("-")[2]) % CHECK_EVERY == 0:
        options += ["--check", str(write_sample(folder / "sample.csv", texts, expected)), "--tolerance", "1e-4"]
    arguments = [str(folder / case["model"]), *options, "--out", str(output), "--overwrite", "--json"]
    code, printed = run_import(arguments)
    if code == "check-failed":  # see how large the difference is, and whether a note says why
        arguments[arguments.index("--tolerance") + 1] = "1"
        code, printed = run_import(arguments)
    if code is not None:
        return outcome("refused", code)
    actual = fastlstm.load(output).predict_proba(texts) if texts else np.zeros(expected.shape, np.float32)
    if actual.shape != expected.shape:
        return outcome("different", difference=1.0)
    difference = float(np.abs(actual - expected).max(initial=0))
    if difference <= TOLERANCE:
        return outcome("equal", difference=difference)
    notes = [note for note in json.loads(printed)["notes"] if "differ" in note]
    return outcome("noted" if notes else "different", difference=difference)


def run_import(arguments: list[str]) -> tuple[str | None, str]:
    """Run `fastlstm import`, and return the code of its error, or None, and what it printed."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            command.main(arguments, standalone_mode=False)
    except FastLSTMError as error:
        return error.code, ""
    return None, printed.getvalue()


def probabilities(outputs: np.ndarray, activation: str) -> np.ndarray:
    """Return probabilities [n, classes] of Keras' outputs; outputs without activation are logits."""
    if outputs.ndim != 2:
        return np.zeros((0, 0))
    if activation == "linear":
        if outputs.shape[1] == 1:
            outputs = 1 / (1 + np.exp(-outputs))
        else:
            exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            outputs = exponentials / exponentials.sum(axis=1, keepdims=True)
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs


def write_sample(path: Path, texts: list[str], expected: np.ndarray) -> Path:
    """Write a sample for --check."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *range(expected.shape[1])])
        writer.writerows([text, *row] for text, row in zip(texts, expected, strict=True))
    return path


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return counts of outcomes, refusal codes, libraries and features."""
    by_feature: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        for feature in outcome.features:
            by_feature.setdefault(feature, Counter())[outcome.kind] += 1
    return {
        "models": len(outcomes),
        "outcomes": dict(Counter(outcome.kind for outcome in outcomes)),
        "refusals": dict(Counter(outcome.code for outcome in outcomes if outcome.kind == "refused").most_common()),
        "largest_difference_of_equal": max(outcome.difference for outcome in outcomes if outcome.kind == "equal"),
        "texts_compared": sum(outcome.texts for outcome in outcomes if outcome.kind == "equal"),
        "texts_without_answer_of_keras": sum(outcome.unanswered for outcome in outcomes if outcome.kind == "equal"),
        "features": {name: dict(by_feature[name]) for name in sorted(by_feature)},
    }


if __name__ == "__main__":
    main()
