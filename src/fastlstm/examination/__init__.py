"""What labelled texts hold that a model would stumble over: what `fastlstm doctor DATA` reports."""

from fastlstm.examination.examination import Examination, examine

__all__ = ["Examination", "examine"]
