"""A search for the options that suit some data best: what `fastlstm tune` and `fastlstm.tune` do."""

from fastlstm.tuning.api import tune

__all__ = ["tune"]
