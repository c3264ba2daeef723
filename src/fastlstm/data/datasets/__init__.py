"""Named data sets: where they come from, how they are checked, and where they are kept."""

from fastlstm.data.datasets.imdb import IMDB_LABELS, IMDbSplits, load_imdb, load_imdb_unlabelled

__all__ = ["IMDB_LABELS", "IMDbSplits", "load_imdb", "load_imdb_unlabelled"]
