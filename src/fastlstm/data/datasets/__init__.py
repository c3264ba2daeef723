"""Named datasets: download, verify, unpack and read them."""

from fastlstm.data.datasets.imdb import IMDB_LABELS, IMDbSplits, load_imdb, load_imdb_unlabelled

__all__ = ["IMDB_LABELS", "IMDbSplits", "load_imdb", "load_imdb_unlabelled"]
