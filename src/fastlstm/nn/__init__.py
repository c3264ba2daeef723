"""PyTorch parts shared by classifier and language model training (extra `train`)."""

import importlib

from fastlstm.errors import MissingDependencyError

for _module, _package in (("torch", "PyTorch"), ("sklearn", "scikit-learn")):
    try:
        importlib.import_module(_module)
    except ImportError:
        raise MissingDependencyError("training", _package, "train") from None
