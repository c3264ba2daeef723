"""Options that several commands share, and help texts grouped in panels."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import click

from fastlstm.cli import output
from fastlstm.cli.option_names import option_names
from fastlstm.config import DEFAULT_PRESET, PRESETS, ModelConfig, TrainingConfig, option_fields
from fastlstm.config.options import parse_value, split_values
from fastlstm.data.options import OnBadRows, Quoting
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load
from fastlstm.precision import AUTO, INFERENCE_PRECISIONS

PANELS = (
    "Data", "Model", "Tokenization", "Search", "Training", "Checks", "Explanation", "Sampling", "Server", "Limits",
    "Output", "Other",
)  # fmt: skip
"""The panels of all commands, in the order of help."""
DEFAULT_PRECISION, PRECISION_HELP = "float32", "Precision of matrix products; auto: the fastest here."
PRECISION, MODEL_NAME = "fastlstm.precision", "fastlstm.model_name"
"""Keys of the context that hold the values of --precision and --model."""
CONFIG_VALUES = "fastlstm.config"
"""Key of the context that holds the fields read from --config."""

Function = TypeVar("Function", bound=Callable[..., Any])


class PanelOption(click.Option):
    """An option that help shows in a panel.

    Attributes:
        panel: The panel.
        fields: The fields of a configuration that the option sets, for --set.
    """

    def __init__(self, *args: Any, panel: str, fields: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.panel = panel
        self.fields = tuple(fields)


class PanelCommand(click.Command):
    """A command whose help groups options in panels, in the order of `PANELS`.

    Errors name its options where they name Python arguments.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments."""
        with option_names(self):
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with option_names(self):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per panel."""
        panels: dict[str, list[tuple[str, str]]] = {panel: [] for panel in PANELS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                panels[getattr(parameter, "panel", "Other")].append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


def option(*names: str, panel: str = "Other", **attributes: Any) -> Callable[[Function], Function]:
    """Return a decorator that adds an option to a command, in a panel of its help."""
    return click.option(*names, cls=PanelOption, panel=panel, **attributes)


def common_options(function: Function) -> Function:
    """Add --json and --debug. `main` reads --debug from the arguments, because parsing them may fail too."""
    function = option("--debug", is_flag=True, expose_value=False, panel="Output", help="Print tracebacks.")(
        function
    )
    return option("--json", "as_json", is_flag=True, panel="Output", help="Print the result as one JSON object.")(
        function
    )


def model_option(function: Function) -> Function:
    """Add --model, which the command receives as a `Classifier`."""
    return option(
        "--model",
        "-m",
        "model",
        type=str,
        callback=_load_model,
        metavar="DIR",
        panel="Model",
        help="Model folder or bundled name. [default: bundled model]",
    )(function)


def precision_option(function: Function) -> Function:
    """Add --precision, the precision of the model that `model_option` loads."""
    return option(
        "--precision",
        type=click.Choice(INFERENCE_PRECISIONS),
        default=DEFAULT_PRECISION,
        show_default=True,
        is_eager=True,  # before the model is loaded
        expose_value=False,
        callback=_store_precision,
        panel="Model",
        help=PRECISION_HELP,
    )(function)


def threshold_option(function: Function) -> Function:
    """Add --threshold, for `Classifier.choose` and `Classifier.evaluate`."""
    return option(
        "--threshold",
        type=float,
        metavar="P",
        panel="Model",
        help="Decision threshold of two classes. [default: the model's]",
    )(function)


def table_options(function: Function) -> Function:
    """Add the options of reading labelled texts, and --data-dir."""
    function = option(
        "--merge-labels", is_flag=True, panel="Data", help="Merge labels that look alike, such as Pos and pos."
    )(function)
    function = option(
        "--keep-missing", is_flag=True, panel="Data", help="Keep labels such as NA and None as classes."
    )(function)
    function = text_file_options(function)
    function = option(
        "--data-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        panel="Data",
        help="Folder of IMDb, for DATA imdb. [env: FASTLSTM_DATA_DIR]",
    )(function)
    for name in ("label", "text"):
        function = column_option(name)(function)
    return function


def column_option(name: str) -> Callable[[Function], Function]:
    """Return a decorator that adds --text-column or --label-column."""
    return option(
        f"--{name}-column",
        default=name,
        show_default=True,
        metavar="NAME",
        panel="Data",
        help=f"Column that holds the {name}s.",
    )


def text_file_options(function: Function) -> Function:
    """Add the options of reading files of texts, with or without labels."""
    for decorator in (
        option("--bad-rows", type=click.Path(path_type=Path), metavar="FILE", panel="Data",
               help="CSV file to list skipped rows in."),
        option("--on-bad-rows", type=click.Choice(get_args(OnBadRows)), default="skip", show_default=True,
               panel="Data", help="What to do with rows that cannot be used."),
        option("--encoding", metavar="NAME", panel="Data", help="Encoding, such as gb18030. [default: UTF-8]"),
        option("--quoting", type=click.Choice(get_args(Quoting)), panel="Data",
               help="Quoting of CSV and TSV. [default: detected]"),
        option("--delimiter", metavar="CHAR", panel="Data", help="Delimiter of CSV and TSV. [default: detected]"),
    ):  # fmt: skip
        function = decorator(function)
    return function


def preset_option(function: Function, presets: Mapping[str, Any] = PRESETS) -> Function:
    """Add --preset; by default the classifier's, otherwise the first of `presets`."""
    return option(
        "--preset",
        type=click.Choice(list(presets)),
        default=DEFAULT_PRESET if presets is PRESETS else next(iter(presets)),
        show_default=True,
        panel="Model",
        help="Named configuration to start from.",
    )(function)


def config_options(
    *visible: str,
    kinds: Sequence[type[Any]] = (ModelConfig, TrainingConfig),
    presets: Mapping[str, Any] = PRESETS,
) -> Callable[[Function], Function]:
    """Add the options that set fields of configurations: one for each of `visible`, --set, --config, --help-all.

    The command receives all given fields as one argument, `options`: field name -> value. A field option takes
    precedence over --set, and --set over --config.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wrapper(*args: Any, set_values: Mapping[str, Any], **values: Any) -> Any:
            from_file = click.get_current_context().meta.get(CONFIG_VALUES, {})
            given = {name: value for name in visible if (value := values.pop(name)) is not None}
            return function(*args, options={**from_file, **set_values, **given}, **values)

        decorated: Any = wrapper
        decorated = _help_all_option(kinds, presets)(decorated)
        decorated = _config_file_option(kinds)(decorated)
        decorated = option(
            "--set",
            "set_values",
            multiple=True,
            metavar="NAME=VALUE",
            panel="Model",
            callback=lambda _, __, values: _parse_assignments(values, kinds),
            fields=[field.name for kind in kinds for field in option_fields(kind)],
            help="Set a configuration field; repeatable.",
        )(decorated)
        for name in reversed(visible):
            decorated = _field_option(name, kinds)(decorated)
        result: Function = decorated
        return result

    return decorate


def field_options(
    *names: str, kinds: Sequence[type[Any]] = (ModelConfig, TrainingConfig)
) -> Callable[[Function], Function]:
    """Add one option for each of the named fields of configurations; the command receives them by name."""

    def decorate(function: Function) -> Function:
        for name in reversed(names):
            function = _field_option(name, kinds)(function)
        return function

    return decorate


def split_source(value: str) -> float | str:
    """Return a fraction if the value is a number, otherwise the name of a dataset."""
    try:
        return float(value)
    except ValueError:
        return value


def _field_option(name: str, kinds: Sequence[type[Any]]) -> Callable[[Function], Function]:
    kind = next(kind for kind in kinds if name in get_type_hints(kind))
    field = next(f for f in option_fields(kind) if f.name == name)
    hint = get_type_hints(kind)[name]
    choices = get_args(hint) if get_origin(hint) is not tuple else ()
    return option(
        f"--{name.replace('_', '-')}",
        name,
        type=click.Choice(choices) if choices else hint,
        default=None,
        panel="Training",
        help=_sentence(field.metadata["help"]),
    )


def _config_file_option(kinds: Sequence[type[Any]]) -> Callable[[Function], Function]:
    return option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,  # before the options whose defaults it changes
        expose_value=False,
        callback=lambda context, _, path: None if path is None else _read_config_file(context, path, kinds),
        metavar="FILE",
        panel="Model",
        help="TOML file with options and fields.",
    )


def _read_config_file(context: click.Context, path: Path, kinds: Sequence[type[Any]]) -> None:
    """Use the options of the command in a TOML file as defaults, and keep the fields of configurations."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}; pass a TOML file to --config",
            code="file-not-found" if isinstance(error, FileNotFoundError) else "unreadable-file",
            path=path,
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path} is not valid TOML: {error}", code="bad-config-file", path=path) from None
    plain = {name.replace("-", "_"): value for name, value in values.items()}
    known = {field.name for kind in kinds for field in option_fields(kind)}
    # A field is never a default of its option, because --set takes precedence over the file.
    parameters = {parameter.name for parameter in context.command.params} - known - {"set_values"}
    context.default_map = {name: value for name, value in plain.items() if name in parameters}
    fields = {name: value for name, value in plain.items() if name not in parameters}
    chosen: dict[str, Any] = {}
    for part in split_values(fields, *kinds):
        chosen |= part
    context.meta[CONFIG_VALUES] = chosen


def _parse_assignments(assignments: Sequence[str], kinds: Sequence[type[Any]]) -> dict[str, Any]:
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise OptionError(
                f"--set {assignment!r} has no value; expected NAME=VALUE, such as --set dropout=0.3",
                code="bad-option-value",
                option="set",
                value=assignment,
            )
        name = name.strip().replace("-", "_")
        values[name] = parse_value(name, text.strip(), *kinds)
    return values


def _help_all_option(kinds: Sequence[type[Any]], presets: Mapping[str, Any]) -> Callable[[Function], Function]:
    def show(context: click.Context, _: click.Parameter, requested: bool) -> None:
        if requested and not context.resilient_parsing:
            click.echo(context.get_help())
            click.echo("\n" + _describe_fields(context, kinds, presets), nl=False)
            context.exit()

    return option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show all fields and exit.",
    )


def _describe_fields(context: click.Context, kinds: Sequence[type[Any]], presets: Mapping[str, Any]) -> str:
    """Return every field with its help text and its default per preset."""
    formatter = context.make_formatter()
    for kind in kinds:
        hints = get_type_hints(kind)
        rows = []
        for field in option_fields(kind):
            defaults = {
                key: format_value({**vars(chosen.model), **vars(chosen.training)}[field.name])
                for key, chosen in presets.items()
            }
            same = len(set(defaults.values())) == 1
            shown = next(iter(defaults.values())) if same else ", ".join(f"{k}: {v}" for k, v in defaults.items())
            rows.append((field.name, f"{_sentence(field.metadata['help'])}{_choices(hints[field.name])} [{shown}]"))
        with formatter.section(f"Fields of {kind.__name__}, for --set and --config"):
            formatter.write_dl(rows)
    return formatter.getvalue()


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def format_value(value: object) -> str:
    """Return the value of a field as --set takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _choices(hint: Any) -> str:
    values = get_args(hint) if get_origin(hint) is not tuple else ()
    return f" {{{'|'.join(values)}}}" if values else ""


def _load_model(context: click.Context, parameter: click.Parameter, value: str | None) -> Classifier | None:
    del parameter
    if context.resilient_parsing:
        return None
    precision = context.meta.get(PRECISION, DEFAULT_PRECISION)
    model = load(value, precision=precision)
    context.meta[MODEL_NAME] = value
    if precision == AUTO:
        output.note(f"precision: {model.network.precision}, the fastest on this machine")
    return model


def _store_precision(context: click.Context, parameter: click.Parameter, value: str) -> None:
    del parameter
    context.meta[PRECISION] = value
