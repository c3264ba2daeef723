"""Teachers of other libraries, named on the command line as "module:attribute" or "file.py:attribute"."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from fastlstm.errors import OptionError
from fastlstm.serialization.folder import CLASSIFIER_FORMAT, resolve_model_folder


def find_teacher(teacher: Any) -> Any:
    """Return the folder of a saved classifier, the object that a name refers to, or any other object as it is.

    Raises:
        InputError: A path that is not a saved classifier, or a name that refers to nothing.
    """
    if isinstance(teacher, str) and ":" in teacher and not Path(teacher).exists():
        return import_teacher(teacher)
    if isinstance(teacher, str | os.PathLike) and Path(teacher).suffix == ".py":
        raise _bad_teacher(os.fspath(teacher), "it names no function or object of the file")
    if teacher is None or isinstance(teacher, str | os.PathLike):
        return resolve_model_folder(teacher, CLASSIFIER_FORMAT)
    return teacher


def import_teacher(reference: str) -> Any:
    """Return the object that "module:attribute" or "file.py:attribute" names.

    The file may import modules of its folder, as a script may.

    Raises:
        OptionError: There is no such module, file or attribute, or importing it fails.
    """
    source, _, attribute = reference.rpartition(":")
    try:
        if source.endswith(".py"):
            spec = importlib.util.spec_from_file_location(f"{Path(source).stem}_teacher", source)
            if spec is None or spec.loader is None:
                raise ImportError(f"{source} is not a Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # dataclasses and pickle look for it
            if (folder := str(Path(source).resolve().parent)) not in sys.path:
                sys.path.insert(0, folder)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(source)
        if not hasattr(module, attribute):
            raise AttributeError(f"{source} has no {attribute!r}")
        return getattr(module, attribute)
    except (Exception, SystemExit) as error:  # whatever the code of the user raises
        raise _bad_teacher(reference, f"{type(error).__name__}: {error}") from error


def _bad_teacher(reference: str, reason: str) -> OptionError:
    return OptionError(
        f"cannot load the teacher {reference!r}: {reason}; expected the folder of a model, module:attribute or "
        "file.py:attribute",
        code="bad-teacher",
        teacher=reference,
        reason=reason,
    )
