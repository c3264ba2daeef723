"""Labelled texts, and the files and folders they are read from."""

from fastlstm.records.reading import read_records
from fastlstm.records.record import Records, split

__all__ = ["Records", "read_records", "split"]
