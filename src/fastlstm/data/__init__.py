"""Datasets with and without labels, and their readers."""

from fastlstm.data.dataset import Dataset, split_dataset
from fastlstm.data.memory import as_dataset
from fastlstm.data.readers.labelled import read_dataset
from fastlstm.data.readers.plain_text import UnlabelledTexts, read_texts

__all__ = ["Dataset", "UnlabelledTexts", "as_dataset", "read_dataset", "read_texts", "split_dataset"]
