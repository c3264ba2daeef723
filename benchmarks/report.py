"""The README's table of figures, written from the committed results: python benchmarks/report.py"""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import Any

import serving_report

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
TEACHER = "accurate from language models of both directions, 1,024 units each, 4 epochs, validation 0.1, seed 0"
LARGEST = (
    "accurate from language models of both directions, 2,048 units each (50.5), 12 epochs on a GPU, "
    "validation 0.1, seed 0"
)
START, END = "<!-- figures -->\n", "<!-- /figures -->\n"


def main() -> None:
    """Replaces the table between the README's two marks."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    README.write_text(before + START + table() + END + after, encoding="utf-8")


def table() -> str:
    """The figures as Markdown, each with the script that printed it."""
    accuracy, small, bundled, training, inference, footprint, suite = (
        json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("accuracy", "accuracy-small", "bundled", "training", "inference", "footprint", "suite")
    )
    kernel, peer = accuracy["kernel"], accuracy["nn.LSTM"]
    runs, medians = kernel["runs"], training["medians"]
    baseline = statistics.mean(run["baseline_accuracy"] for run in runs)
    typical, largest = statistics.median(run["seconds"] for run in runs), max(run["peak_megabytes"] for run in runs)
    default = small["kernel"]
    english = scored("the bundled English sentiment model")
    rows = [
        (
            "IMDb test accuracy of the bundled model",
            f"**{english['accuracy']:.2%}**, calibration error {english['calibration_error']:.2%}",
            "../recipes/english_sentiment.py",
        ),
        ("raw reviews to its probabilities", speeds(bundled["reviews_per_second"]), "bundled.py"),
        ("its size, and that of the encoder beside it", sizes(bundled["megabytes"]), "bundled.py"),
        (
            "IMDb test accuracy of its teacher, `accurate`, both directions",
            f"**{scored(TEACHER)['accuracy']:.2%}**",
            "scoring.py",
        ),
        (
            "IMDb test accuracy of the largest, `accurate`, 2,048 units in both directions, on a GPU",
            f"**{scored(LARGEST)['accuracy']:.2%}**",
            "scoring.py",
        ),
        (
            "IMDb test accuracy after `fastlstm train imdb --budget 60m`",
            f"**{scored('--budget 60m')['accuracy']:.2%}**",
            "scoring.py",
        ),
        few_labels(),
        (
            f"IMDb test accuracy, `small`, the default, mean of {len(default['runs'])} seeds",
            f"**{default['mean_accuracy']:.2%} ± {default['standard_deviation']:.2%}**",
            "accuracy.py",
        ),
        (
            "`fastlstm train imdb --validation 0.1`, the whole command",
            f"{statistics.median(run['seconds'] for run in default['runs']):.0f} s, "
            f"{max(run['peak_megabytes'] for run in default['runs']) / 1000:.2f} GB at its peak",
            "accuracy.py",
        ),
        (
            f"IMDb test accuracy, `tutorial`, mean of {len(runs)} seeds",
            f"{kernel['mean_accuracy']:.2%} ± {kernel['standard_deviation']:.2%}",
            "accuracy.py",
        ),
        (
            "the same with PyTorch's `nn.LSTM`",
            f"{peer['mean_accuracy']:.2%} ± {peer['standard_deviation']:.2%}",
            "accuracy.py",
        ),
        ("the same texts, NB-weighted logistic regression", f"{baseline:.2%}", "accuracy.py"),
        (
            "`fastlstm train imdb --preset tutorial`, the whole command",
            f"{typical:.0f} s, {largest / 1000:.2f} GB at its peak",
            "accuracy.py",
        ),
        ("an epoch of `tutorial` (20,000 reviews)", side_by_side(medians, 1, "s"), "training.py"),
        *(
            (what, side_by_side(inference[name]["medians"], 1000, "ms"), "inference.py")
            for what, name in (
                ("one text of 200 tokens, one thread", "one text"),
                (f"64 reviews, {inference['cores']} threads", "64 texts"),
            )
        ),
        *((f"{name}", f"{of['median']:.2f} s", "inference.py") for name, of in inference["processes"].items()),
        *(
            (f"{name}", f"{statistics.median(values):.3f} s", "footprint.py")
            for name, values in footprint["seconds"].items()
        ),
        *looking_inside(),
        *serving_report.rows(),
        (f"the test suite, {suite['tests']} tests", f"{suite['seconds']:.0f} s", "suite.py"),
    ]
    lines = ["| what | figure | printed by |", "| --- | --- | --- |"]
    lines += [f"| {what} | {figure} | `{path(script)}` |" for what, figure, script in rows]
    return "\n".join(lines) + "\n\n" + _machine(accuracy["machine"]) + "\n"


def path(script: str) -> str:
    """Where a script lies, from the project's root."""
    return os.path.normpath(Path("benchmarks", script))


def scored(name: str) -> dict[str, Any]:
    """The last scoring of that name."""
    lines = (HERE / "results" / "scorings.jsonl").read_text(encoding="utf-8").splitlines()
    of_name: list[dict[str, Any]] = [entry for entry in map(json.loads, lines) if entry["name"] == name]
    return of_name[-1]


def few_labels() -> tuple[str, str, str]:
    """Means over draws of 500 labelled reviews."""
    runs = json.loads((HERE / "results" / "few_labels.json").read_text(encoding="utf-8"))["runs"]
    means = {
        what: statistics.mean(run["accuracy"] for run in runs if (run["size"], run["what"]) == (500, what))
        for what in ("encoder", "small", "regression")
    }
    return (
        "with 500 labelled reviews, mean of 5 draws",
        f"from the bundled encoder **{means['encoder']:.2%}**, `small` {means['small']:.2%}, "
        f"NB-weighted regression {means['regression']:.2%}",
        "few_labels.py",
    )


def looking_inside() -> list[tuple[str, str, str]]:
    """What explaining and streaming cost."""
    explaining, streaming = (
        json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("explaining", "streaming")
    )
    rows = []
    for name in ("tutorial", "bundled"):
        of = explaining[name]["medians"]
        own, peer = of["integrated gradients"], of["integrated gradients, PyTorch's autograd"]
        rows.append(
            (
                f"integrated gradients of 200 tokens, {name} model",
                f"**{1000 * own:.1f} ms**, PyTorch's autograd {1000 * peer:.1f} ms ({peer / own:.1f} ×)",
                "explaining.py",
            )
        )
    costs = streaming["microseconds"]
    rows.append(
        (
            "a token of a stream, beside tokenising",
            f"tutorial model {costs['tutorial']['reading']:.0f} µs, "
            f"bundled {costs['bundled, float32']['reading']:.0f} µs",
            "streaming.py",
        )
    )
    rows.append(
        (
            f"{streaming['streams']:,} streams open",
            f"{streaming['megabytes']:.0f} MB; a state {streaming['state_bytes'] / 1000:.1f} kB",
            "streaming.py",
        )
    )
    (exit_,) = [of for of in streaming["early_exit"] if of["agreement"] == 0.99]
    rows.append(
        (
            "early exit of the bundled model, IMDb test, learned for 99% agreement",
            f"{exit_['saved']:.0%} of tokens saved, {exit_['disagreement']:.2%} of answers others",
            "streaming.py",
        )
    )
    return rows


def speeds(reviews_per_second: dict[str, float]) -> str:
    """Reviews a second, in each precision."""
    return ", ".join(f"{name} {speed:,.0f} reviews/s" for name, speed in reviews_per_second.items())


def sizes(megabytes: dict[str, float]) -> str:
    """Of the bundled models, the classifier's first."""
    return ", ".join(f"{megabytes[name]:.1f} MB" for name in ("english-sentiment", "english"))


def side_by_side(medians: dict[str, float], times: int, unit: str) -> str:
    """fastlstm's time, and everybody else's with how many times as long that is; less than float32 is left out."""
    own = medians["fastlstm"]
    digits = 1 if own * times >= 1 else 3
    others = (
        f"{name} {seconds * times:.{digits}f} {unit} ({seconds / own:.1f} ×)"
        for name, seconds in medians.items()
        if not name.startswith("fastlstm")
    )
    return ", ".join([f"**{own * times:.{digits}f} {unit}**", *others])


def _machine(machine: dict[str, Any]) -> str:
    sets = ", ".join(machine["instruction_sets"])
    return (
        f"Measured on {machine['cores']} cores of a shared {machine['processor']} ({sets}), "
        f"{machine['memory_gb']:.0f} GB, Python {machine['python']}, PyTorch {machine['packages']['torch']}; "
        "medians, since such machines drift; raw results in "
        "[benchmarks/results](benchmarks/results). Data: the Large Movie Review Dataset (Maas et al., 2011)."
    )


if __name__ == "__main__":
    main()
