"""What labelled texts hold that a model would stumble over: what `fastlstm doctor DATA` reports."""

from fastlstm.checks.report import DatasetReport, check

__all__ = ["DatasetReport", "check"]
