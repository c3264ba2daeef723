"""Draw docs/terminal.svg from a real run: python scripts/terminal_picture.py IMDB_FOLDER"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "terminal.svg"
WIDTH = 112
PREDICT = [
    "fastlstm", "predict", "--model", "imdb-model",
    "This movie was fantastic! I really enjoyed it.",
    "Horrible film, don't waste your time.",
]  # fmt: skip


def main() -> None:
    """Train on IMDb, predict two sentences, and draw the terminal's output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    data_dir = parser.parse_args().data_dir.absolute()
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "imdb"
        link.symlink_to(data_dir)
        for command in (
            ["fastlstm", "train", "imdb", "--preset", "tutorial", "--data-dir", "imdb", "--out", "imdb-model"],
            PREDICT,
        ):
            shown = " ".join(f'"{word}"' if " " in word else word for word in command)
            console.print(Text(f"$ {shown}", style="bold green"))
            for line in run(command, folder):
                console.print(Text(line))
    # Without @font-face the picture loads no font from a server and uses the reader's fixed-width font.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="fastlstm"), flags=re.DOTALL)
    PICTURE.write_text(picture, encoding="utf-8")


def run(command: list[str], folder: str) -> list[str]:
    """Return the lines that a command prints, without the progress lines of running epochs."""
    process = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    lines = process.stdout.expandtabs(4).splitlines()
    return [line for line in lines if not re.match(r"epoch \d+: step", line)]


if __name__ == "__main__":
    main()
