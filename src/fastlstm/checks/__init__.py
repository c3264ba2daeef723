"""Checks of a labelled dataset before training: duplicates, suspect labels, lengths, vocabulary, languages."""

from fastlstm.checks.report import DatasetReport, check

__all__ = ["DatasetReport", "check"]
