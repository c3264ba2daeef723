"""The table of docs/transformers.md: a fine-tuned MiniLM and the LSTM that was distilled from it."""

from __future__ import annotations

import processors
from alternatives_report import row
from results import read_one

NAME = "distil_minilm"


def table() -> str:
    """Return the table of the last published result."""
    result = read_one(NAME)
    lines = [row(["model", "accuracy", "MB", "sentences/s"]), row(["---"] * 4)]
    for name, figures in result["models"].items():
        own = (f"{figures['accuracy']:.1%}", f"{figures['megabytes']:.1f}", f"{figures['texts_per_second']:,.0f}")
        lines.append(row([name, *own]))
    note = (
        f"On {result['texts']} held-out sentences of SST-2, with {result['threads']} threads of an "
        f"{processors.name(result['machine'])} ({result['date']}), by `recipes/distil_minilm.py`."
    )
    return "\n".join([*lines, "", note]) + "\n"
