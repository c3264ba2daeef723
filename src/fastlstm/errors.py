"""Exceptions: one base class, one subclass per kind of failure, one stable code per cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

CPU_PYTORCH = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
"""Installs PyTorch for CPUs. Without it, an extra with PyTorch fetches gigabytes for GPUs on Linux."""


def install_command(extra: str, *, needs_pytorch: bool) -> str:
    """Return the pip commands that install an extra, with PyTorch for CPUs first if that is missing.

    They work in any folder: pip finds the installed fastlstm.
    """
    command = f"pip install 'fastlstm[{extra}]'"
    return f"{CPU_PYTORCH} && {command}" if needs_pytorch else command


class FastLSTMError(Exception):
    """Base class of all errors that fastlstm raises deliberately.

    The message is one line: what was found, what was expected, what to do.

    Attributes:
        code: Stable identifier of the cause, such as "missing-column". docs/errors.md lists them.
        values: The values concerned, by name. Each is also an attribute: `error.column`.
    """

    exit_status = 1
    """Exit status of the command line: 2 for wrong use or bad input, 1 for a failure while working."""
    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None, **values: Any) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.values = values

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("values", {})
        if name in values:
            return values[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.code, self.values)


def _rebuild(kind: type[FastLSTMError], message: str, code: str, values: dict[str, Any]) -> FastLSTMError:
    error = kind.__new__(kind)
    FastLSTMError.__init__(error, message, code=code, **values)
    return error


class InputError(FastLSTMError, ValueError):
    """The call or its input is wrong; nothing was written."""

    exit_status = 2
    default_code = "bad-input"


class OptionError(InputError):
    """An option has an unknown name, a value out of range, or conflicts with another option."""

    default_code = "bad-option"


class DataError(InputError):
    """Data cannot be used: texts or labels, a file or folder, the state of a stream, or a model to import."""

    default_code = "bad-data"


class ResumeError(InputError):
    """There is no checkpoint to resume from, it is damaged, or it belongs to another run."""

    default_code = "cannot-resume"


class DeviceError(InputError):
    """The requested device is not available."""

    default_code = "device-unavailable"


class MissingDependencyError(InputError, ImportError):
    """An optional dependency is not installed; the message contains the pip command.

    Attributes:
        package: The missing package.
        extra: The extra of fastlstm that installs it.
    """

    default_code = "missing-dependency"

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        needs_pytorch = package == "PyTorch"
        gpu = " (with a GPU, the second command is enough)" if needs_pytorch else ""
        super().__init__(
            f"{purpose} needs {package}, which is not installed; run: "
            f"{install_command(extra, needs_pytorch=needs_pytorch)}{gpu}",
            purpose=purpose,
            package=package,
            extra=extra,
        )


class ModelNotFoundError(InputError):
    """The model folder does not exist."""

    default_code = "model-not-found"


class NotAModelError(InputError):
    """The folder exists but is not a fastlstm model of the expected kind."""

    default_code = "not-a-model"


class CorruptModelError(InputError):
    """The folder is a fastlstm model whose files are damaged or inconsistent."""

    default_code = "corrupt-model"


class ModelTooNewError(InputError):
    """The model was saved by a newer version of fastlstm."""

    default_code = "model-too-new"


class DownloadError(FastLSTMError):
    """A dataset could not be downloaded."""

    default_code = "download-failed"


class WriteError(FastLSTMError):
    """A file or folder could not be written; existing files are unchanged."""

    default_code = "write-failed"


class TrainingError(FastLSTMError):
    """Training failed in a way that more training cannot fix."""

    default_code = "training-failed"


class Interrupted(FastLSTMError):  # noqa: N818 -- requested by the user, not a fault
    """The user interrupted a run or a search. The message states what is saved."""

    exit_status = 130
    default_code = "interrupted"


class UnknownTextsWarning(UserWarning):
    """Texts without any known token were labelled because the interface requires a label."""


def suggest(value: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown `value`: the closest known name, then all known names."""
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    return f"{suggestion}known: {', '.join(names)}"
