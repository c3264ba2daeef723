"""The errors fastlstm raises: one base, one subclass a cause.

Every message is one line: what came, what was expected, what to do.
`exit_status` is what the command line exits with: 2 where the call or its input was
wrong, 1 where the work itself failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FastLSTMError(Exception):
    """Base of every error that fastlstm raises on purpose."""

    exit_status = 1


class InputError(FastLSTMError, ValueError):
    """The call or its input is wrong: nothing was written."""

    exit_status = 2


class OptionError(InputError):
    """An option has an unknown name or a value outside its range."""


class DataError(InputError):
    """A file, folder or list of texts can't be read as labelled texts."""


class ResumeError(InputError):
    """There is no checkpoint to go on from, or it belongs to another run."""


class DeviceError(InputError):
    """The asked-for device is not there."""


class MissingDependencyError(InputError, ImportError):
    """An optional dependency is not installed; the message holds the pip command."""

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed; run: pip install 'fastlstm[{extra}]'")


class ModelNotFoundError(InputError):
    """There is no folder where a saved model was expected."""


class NotAModelError(InputError):
    """The folder is there, and is not a fastlstm model."""


class CorruptModelError(InputError):
    """The folder is a fastlstm model whose files are damaged or do not fit together."""


class ModelTooNewError(InputError):
    """The saved model's format is newer than this version of fastlstm can read."""


class DownloadError(FastLSTMError):
    """A data set could not be had from its source."""


class WriteError(FastLSTMError):
    """Something could not be written; what stood there before is untouched."""


class TrainingError(FastLSTMError):
    """Training went wrong in a way that more training can't mend."""


class Interrupted(FastLSTMError):  # noqa: N818 -- an outcome the user asked for, not a fault
    """Training was stopped on request, and its state saved."""

    exit_status = 130


def near(value: str, known: Iterable[str]) -> str:
    """The ending of a message about an unknown `value`: the near name, and all the known ones."""
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    return f"{suggestion}known: {', '.join(names)}"
