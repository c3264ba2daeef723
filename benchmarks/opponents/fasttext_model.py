"""fastText (`pip install fasttext-community`), with word pairs.

Joulin et al. (2017), Bag of Tricks for Efficient Text Classification, EACL.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opponents.alternative import Fitted, Task

OPTIONS = {"epoch": 25, "lr": 0.5, "wordNgrams": 2, "verbose": 0}
"""The options of fastText's tutorial on text classification."""
PREFIX = "__label__"


def line(text: str, *, unspaced: bool) -> str:
    """Return a text as fastText reads it; characters are separated by spaces for scripts without."""
    return " ".join(" ".join(text.lower()).split() if unspaced else text.lower().split())


def fit(task: Task) -> Fitted:
    """Train fastText. Its training is not reproducible with more than one thread."""
    import fasttext

    names = sorted(set(task.labels))
    path = task.folder / "training.txt"
    rows = (
        f"{PREFIX}{names.index(label)} {line(text, unspaced=task.unspaced)}\n"
        for text, label in zip(task.texts, task.labels, strict=True)
    )
    path.write_text("".join(rows), encoding="utf-8")
    model = fasttext.train_supervised(str(path), **OPTIONS, seed=task.seed, thread=task.threads)
    path.unlink()
    saved = Path(task.folder, "model.bin")
    model.save_model(str(saved))

    def predict(texts: Sequence[str]) -> list[str]:
        answers, _ = model.predict([line(text, unspaced=task.unspaced) for text in texts])
        return [names[int(answer[0].removeprefix(PREFIX))] if answer else names[0] for answer in answers]

    return Fitted(predict, [saved])
