"""The command line: one command per file, imported when it is called."""

from fastlstm.cli.main import main

__all__ = ["main"]
