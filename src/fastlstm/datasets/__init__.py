"""Named data sets: where they come from, how they are checked, and where they are kept."""

from fastlstm.datasets.imdb import Dataset, load_imdb

__all__ = ["Dataset", "load_imdb"]
