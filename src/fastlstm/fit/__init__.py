"""From labelled texts to a saved, measured model: what `fastlstm train` and `fastlstm.train` do."""

from fastlstm.fit.one_call import train

__all__ = ["train"]
