"""Texts with and without labels, and the files and folders they are read from."""

from fastlstm.records.reading import read_records
from fastlstm.records.record import Records, split
from fastlstm.records.texts import Texts, read_texts

__all__ = ["Records", "Texts", "read_records", "read_texts", "split"]
