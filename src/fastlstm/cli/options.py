"""Options that several commands share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_origin, get_type_hints

import click

from fastlstm.cli.output import note
from fastlstm.config import DEFAULT_PRESET, PRESETS, ModelConfig, TrainingConfig, option_fields
from fastlstm.errors import NotAModelError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.pretrained import DEFAULT_CLASSIFIER, find_model
from fastlstm.serialization.folder import has_format
from fastlstm.serialization.language_model import LANGUAGE_MODEL_FORMAT

if TYPE_CHECKING:
    from fastlstm.language_model.inference import LanguageModel

LANGUAGE_MODEL_COMMANDS = ("evaluate", "info")
"""The commands of classifiers that take a language model too."""
PRECISION = "fastlstm.precision"
"""Where the context keeps what --precision says."""

Function = TypeVar("Function", bound=Callable[..., Any])


def common_options(function: Function) -> Function:
    """--json and --debug. `main` looks for --debug itself, since errors come from parsing too."""
    function = click.option("--debug", is_flag=True, expose_value=False, help="Print the traceback of an error.")(
        function
    )
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(function)


def model_option(function: Function) -> Function:
    """--model, read into a `Classifier`."""
    return click.option(
        "--model",
        "-m",
        "model",
        type=str,
        callback=_load,
        metavar="DIR",
        help="The folder that fastlstm train wrote; without it, the bundled English sentiment model.",
    )(function)


def precision_option(function: Function) -> Function:
    """--precision, in which `model_option`'s model then computes."""
    return click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default=PRECISIONS[0],
        show_default=True,
        is_eager=True,  # known before the model is loaded
        expose_value=False,
        callback=_remember,
        help="What the LSTM's products are taken of; less than float32 is faster where the processor has it.",
    )(function)


def threshold_option(function: Function) -> Function:
    """--threshold, for `Classifier.choose` and `Classifier.evaluate`."""
    return click.option(
        "--threshold",
        type=float,
        metavar="P",
        help="Of two classes, predict the second one from this probability on. [the model's own]",
    )(function)


def table_options(function: Function) -> Function:
    """--text-column, --label-column and --data-dir."""
    for name, what in (("label", "labels"), ("text", "texts")):
        function = click.option(
            f"--{name}-column", default=name, show_default=True, help=f"Where {what} stand in tables."
        )(function)
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="The folder that holds IMDb, for DATA imdb. [env: FASTLSTM_DATA_DIR]",
    )(function)


def preset_option(function: Function, presets: Mapping[str, Any] = PRESETS) -> Function:
    """--preset, by default the first of other presets than a classifier's."""
    return click.option(
        "--preset",
        default=DEFAULT_PRESET if presets is PRESETS else next(iter(presets)),
        show_default=True,
        help="; ".join(f"{name}: {chosen.purpose}" for name, chosen in presets.items()) + ".",
    )(function)


def config_options(
    *only: str,
    kinds: Sequence[type[Any]] = (TrainingConfig, ModelConfig),
    presets: Mapping[str, Any] = PRESETS,
) -> Callable[[Function], Function]:
    """An option for every field of the two configurations, or `only` for some, named and described by the field."""

    def with_options(function: Function) -> Function:
        for kind in kinds:
            for f in reversed(option_fields(kind)):
                if not only or f.name in only:
                    function = _field_option(f, get_type_hints(kind)[f.name], presets)(function)
        return function

    return with_options


def parse_sizes(value: str | None) -> tuple[int, ...] | None:
    """What --hidden-sizes says."""
    if value is None:
        return None
    try:
        return tuple(int(size) for size in value.split(","))
    except ValueError:
        raise OptionError(f"hidden-sizes is {value!r}; expected whole numbers such as 64,32") from None


def _field_option(
    f: dataclasses.Field[Any], hint: Any, presets: Mapping[str, Any]
) -> Callable[[Function], Function]:
    name = f.name.replace("_", "-")
    return click.option(
        f"--{name}/--no-{name}" if hint is bool else f"--{name}",
        f.name,
        type=hint if hint in (int, float, bool) else str,
        default=None,
        metavar="SIZE,SIZE,..." if get_origin(hint) is tuple else None,
        help=f"{_sentence(f.metadata['help'])}{_choices(hint)} {_defaults(f.name, presets)}",
    )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _defaults(name: str, presets: Mapping[str, Any]) -> str:
    """What each preset has there: [tutorial: 5]."""
    values = {key: {**vars(chosen.model), **vars(chosen.training)}[name] for key, chosen in presets.items()}
    return "[" + ", ".join(f"{key}: {_written(value)}" for key, value in values.items()) + "]"


def _written(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _choices(hint: Any) -> str:
    values = getattr(hint, "__args__", ()) if get_origin(hint) is not tuple else ()
    return f" [{'|'.join(values)}]" if values else ""


def split_source(value: str) -> float | str:
    """A fraction if it reads as a number, else the name of data."""
    try:
        return float(value)
    except ValueError:
        return value


def language_model_option(function: Function) -> Function:
    """--model, read into a `LanguageModel`."""
    return click.option(
        "--model",
        "-m",
        "model",
        callback=lambda context, _, value: None if context.resilient_parsing else _load_language_model(value),
        metavar="DIR",
        help="The folder that fastlstm pretrain wrote; without it, the bundled one of English reviews.",
    )(function)


def _load(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> Classifier | LanguageModel | None:
    del parameter
    if context.resilient_parsing:
        return None
    if value is not None and has_format(find_model(value), LANGUAGE_MODEL_FORMAT):
        if context.info_name not in LANGUAGE_MODEL_COMMANDS:
            raise NotAModelError(
                f"{value} is a language model, and {context.info_name} needs a classifier; give one that was made "
                f"with fastlstm train DATA --encoder {value}"
            )
        if context.meta.get(PRECISION, PRECISIONS[0]) != PRECISIONS[0]:
            raise OptionError("--precision is for classifiers; a language model computes in float32: leave it out")
        return _load_language_model(value)
    if value is None and context.info_name == "evaluate":
        note(f"no --model given: this measures the bundled model {DEFAULT_CLASSIFIER}")
    return load(value, precision=context.meta.get(PRECISION, PRECISIONS[0]))


def _remember(context: click.Context, parameter: click.Parameter, value: str) -> None:
    del parameter
    context.meta[PRECISION] = value


def _load_language_model(folder: str | None) -> LanguageModel:
    """Imported here, so that `predict` does not wait for what it never uses."""
    from fastlstm.language_model.inference import load_language_model

    return load_language_model(folder)
