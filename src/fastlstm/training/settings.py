"""Settings of a training run, built and validated once, for Python and the command line alike."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm.config import DEFAULT_PRESET, ModelConfig, TrainingConfig, configure, option_fields
from fastlstm.config import preset as named_preset
from fastlstm.config.options import check_workers, parse_duration, unknown_option
from fastlstm.data.dataset import Dataset
from fastlstm.data.options import READ_OPTIONS, ReadOptions, split_read_options
from fastlstm.data.readers.word_vectors import vector_size
from fastlstm.data.splits import CROSS_VALIDATION, ENCODER_FOLDS, FOLDS, DataSplits, SplitSource, UnlabelledSource
from fastlstm.errors import OptionError
from fastlstm.language_model.settings import check_encoder_fields
from fastlstm.serialization.folder import (
    LANGUAGE_MODEL_FORMAT,
    config_errors,
    read_config,
    resolve_model_folder,
)
from fastlstm.serialization.language_model import check_encoder_direction
from fastlstm.training.teacher_import import find_teacher

DataSource = Any
"""Labelled texts in a form that `fastlstm.data.memory.as_dataset` accepts, "imdb", or `DataSplits`."""
BUDGET_FIELDS = ("seed", "class_weights", "calibration", "threshold_metric")
"""Fields that may be set together with a budget, which determines all others."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The settings of one training run.

    Attributes:
        data: "imdb"; a CSV, TSV, JSONL, Parquet or fastText file; a folder with one subfolder per class; a `Dataset`;
            a pandas, Polars or PyArrow table, a Hugging Face dataset, a dict of columns, or a list of (text, label)
            pairs; or `DataSplits`, which are used as they are. None: the `unlabelled` texts, of which only the teacher
            knows the classes.
        out: Folder to save the model to. Must be free, or with `overwrite` a fastlstm model.
        preset: Named configuration to start from: "small", "accurate" or "tutorial".
        validation: Fraction of the texts held out to select the best epoch, or a separate dataset; "cross":
            cross-validation, after which the model trains on all texts. None: 0.2, or cross-validation for fewer than
            1,000 texts where it is possible.
        test: Fraction of the texts held out for evaluation, or a separate dataset. None: the test split of IMDb,
            and for other data no test.
        unlabelled: Texts without labels, for pretraining, virtual adversarial training or distillation: "imdb", a file
            or folder of plain texts, or a list.
        encoder: Folder of the language model to start from, or the name of a bundled one. It determines sizes and
            vocabulary, and switches pretraining off unless `pretraining_epochs` or `unlabelled` is given.
        word_vectors: File of word vectors that the embeddings start from, in the text format of word2vec, GloVe and
            fastText. It determines `embedding_size`.
        teacher: The model to distill from: the folder of a classifier; an object with `predict_proba` or a callable,
            as `ExternalTeacher` takes them; or a string "module:attribute" or "file.py:attribute" that names one.
        teacher_labels: The class names of the columns that such an object returns; or a mapping from the names that it
            uses, such as "LABEL_0", to class names. A string is "negative,positive" or "LABEL_0=negative,...".
        label_weight: The weight of a label in the soft targets of a text; the rest is that of the probabilities of a
            teacher, or of those in the data.
        budget: Time limit in seconds, or a duration such as "10m": train candidates of growing size and keep the
            best. Only `BUDGET_FIELDS` can be set then.
        reading: How files and tables are read; `create` takes its attributes, such as `text_column`.
        data_dir: Folder of IMDb, for `data="imdb"`.
        device: "auto", "cpu" or "cuda".
        overwrite: Replace a model, or an unfinished run, in `out`.
        resume: Continue the unfinished run in `out` of the same data and settings.
        baseline: Also evaluate a bag-of-n-grams baseline on the same texts.
        plots: Draw learning curves, confusion matrix and reliability diagram into `out`/plots.
        early_exit: Fit early-exit thresholds on the validation texts; needs a unidirectional model.
        workers: The number of processes, on a cluster of Ray, that share each batch.
        model, training: The resolved configurations.
        cap_vocabulary: Whether a vocabulary larger than that of the texts is reduced to it.
    """

    data: DataSource | None
    out: Path
    preset: str = DEFAULT_PRESET
    validation: SplitSource | None = None
    test: SplitSource | None = None
    unlabelled: UnlabelledSource | None = None
    encoder: Path | None = None
    word_vectors: Path | None = None
    teacher: Any = None
    teacher_labels: tuple[str, ...] | Mapping[str, str] | None = None
    label_weight: float = 0.5
    budget: float | None = None
    reading: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    data_dir: Path | None = None
    device: str = "auto"
    overwrite: bool = False
    resume: bool = False
    baseline: bool = True
    plots: bool = False
    early_exit: bool = False
    workers: int = 1
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    cap_vocabulary: bool = True

    @classmethod
    def create(
        cls, data: DataSource | None, out: str | os.PathLike[str], options: Mapping[str, Any]
    ) -> TrainingSettings:
        """Return the settings of a run.

        Args:
            data: The data to train on.
            out: Folder to save the model to.
            options: Other attributes of this class, and fields of `ModelConfig` and `TrainingConfig`.

        Raises:
            OptionError: Unknown name, bad value, or options that exclude each other.
            InputError: `encoder` or `teacher` is not a saved model of its kind.
        """
        reading, options = split_read_options(options)
        fields_known = {field.name for kind in (ModelConfig, TrainingConfig) for field in option_fields(kind)}
        known = _SETTINGS | set(READ_OPTIONS) | fields_known
        for name in options:
            if name not in known:
                raise unknown_option(name, known)
        own = {name: value for name, value in options.items() if name in _SETTINGS}
        fields = {name: value for name, value in options.items() if name not in own}
        preset = own.get("preset", DEFAULT_PRESET)
        encoder, teacher, unlabelled = (own.get(name) for name in ("encoder", "teacher", "unlabelled"))
        budget = own.get("budget")
        if budget is not None:
            _check_budget(own, fields)
            own["budget"] = parse_duration(budget)
        own["word_vectors"], fields = find_word_vectors(own.get("word_vectors"), fields, encoder=encoder)
        model, training = configure(
            preset, with_encoder_defaults(fields, encoder is not None, unlabelled=unlabelled is not None)
        )
        if unlabelled is not None and budget is None and teacher is None:
            _check_unlabelled(training, preset)
        if own.get("early_exit") and budget is None and encoder is None and model.bidirectional:
            raise OptionError(
                "early exit needs a unidirectional model; set `bidirectional=False`",
                code="early-exit-needs-unidirectional",
            )
        if own.get("data_dir") is not None:
            own["data_dir"] = Path(own["data_dir"])
        own["encoder"] = find_encoder(encoder)
        own["teacher"] = find_teacher(teacher)
        if data is None and teacher is not None and unlabelled is None:
            raise OptionError(
                "there are no texts; pass labelled ones as `data`, `unlabelled` ones, or both",
                code="no-training-texts",
            )
        _check_workers(own)
        _check_soft_labels(own, data, reading)
        _check_cross_validation(own, data, reading, training)
        return cls(
            data=data,
            out=_output_folder(out),
            reading=reading,
            model=model,
            training=training,
            cap_vocabulary=fields.get("vocabulary_size") is None,
            **own,
        )

    @property
    def folds(self) -> int:
        """The number of folds of a cross-validation; 0 if it is not possible with these options."""
        own = {name: getattr(self, name) for name in ("teacher", "unlabelled", "early_exit")}
        if _no_cross_validation(own, self.data, self.reading, self.training) is not None:
            return 0
        return FOLDS if self.encoder is None else ENCODER_FOLDS

    @property
    def changed_fields(self) -> list[str]:
        """The names of the configuration fields whose values differ from those of the preset, seed aside.

        With a budget, there are none: it determines them.
        """
        if self.budget is not None:
            return []
        base = named_preset(self.preset)
        pairs = ((base.model, self.model), (base.training, self.training))
        return [
            field.name
            for before, after in pairs
            for field in option_fields(type(before))
            if field.name != "seed" and getattr(before, field.name) != getattr(after, field.name)
        ]

    @property
    def teacher_name(self) -> str | None:
        """The name of the teacher; None without one."""
        if self.teacher is None or isinstance(self.teacher, Path):
            return None if self.teacher is None else self.teacher.name
        return getattr(self.teacher, "__name__", None) or type(self.teacher).__name__


def _check_workers(own: Mapping[str, Any]) -> None:
    """Raise `OptionError` unless `workers` is a number that fits the other settings."""
    workers = own.get("workers", 1)
    check_workers(workers)
    for name in ("budget", "teacher"):
        if workers > 1 and own.get(name) is not None:
            raise OptionError(
                f"`workers` and `{name}` exclude each other; remove one of the two",
                code="conflicting-options",
                options=("workers", name),
            )


_SETTINGS = {f.name for f in dataclasses.fields(TrainingSettings)} - {
    "data", "out", "reading", "model", "training", "cap_vocabulary",
}  # fmt: skip
"""Attributes that the caller sets; the others are resolved."""


def _output_folder(out: object) -> Path:
    if isinstance(out, str | os.PathLike):
        return Path(out)
    raise OptionError(
        f"`out` is {type(out).__name__}; expected the folder to save the model to; texts and labels are one "
        "argument: fastlstm.Dataset(texts, labels)",
        code="bad-option-value",
        option="out",
        value=type(out).__name__,
    )


def find_encoder(name: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder of the language model to start from; None for None.

    Raises:
        InputError: Not a saved language model.
        OptionError: A language model that only reads backward.
    """
    folder = resolve_model_folder(name, LANGUAGE_MODEL_FORMAT)
    if folder is not None:
        config = read_config(folder, LANGUAGE_MODEL_FORMAT)
        with config_errors(folder):
            direction = config["model"]["direction"]
        check_encoder_direction(direction)
    return folder


def find_word_vectors(
    name: str | os.PathLike[str] | None, fields: dict[str, Any], *, encoder: object
) -> tuple[Path | None, dict[str, Any]]:
    """Return the file of word vectors, and the fields of a run that starts from it: its tokens and embedding size.

    Without a file, the fields are unchanged.

    Raises:
        DataError: The file cannot be read, or does not begin with a vector.
        OptionError: The options exclude word vectors.
    """
    if name is None:
        return None, fields
    if not isinstance(name, str | os.PathLike):
        raise OptionError(
            f"`word_vectors` is {type(name).__name__}; expected the path of a file",
            code="bad-option-value",
            option="word_vectors",
            value=type(name).__name__,
        )
    path, tokens = Path(name), fields.get("tokens")
    conflict = "encoder" if encoder is not None else "tokens" if tokens not in (None, "auto", "words") else None
    if conflict:
        raise OptionError(
            f"`word_vectors` cannot be set together with `{conflict}`: they are the embeddings of words; remove one "
            "of the two",
            code="conflicting-options",
            options=("word_vectors", conflict),
        )
    size, given = vector_size(path), fields.get("embedding_size")
    if given not in (None, size):
        raise OptionError(
            f"`embedding_size` is {given}, but the vectors of {path.name} have {size} dimensions; remove "
            "`embedding_size`",
            code="word-vector-size",
            embedding_size=given,
            expected=size,
        )
    return path, {**fields, "tokens": "words", "embedding_size": size}


def with_encoder_defaults(fields: Mapping[str, Any], encoder: bool, *, unlabelled: bool = False) -> dict[str, Any]:
    """Return configuration fields with the defaults of a run that starts from an encoder.

    The output layer is fitted first, and pretraining is off unless it is requested: by its field, or by texts
    without labels.

    Raises:
        OptionError: A field is set that the encoder determines.
    """
    result = dict(fields)
    if encoder:
        check_encoder_fields(result)
        if result.get("pretraining_epochs") is None and not unlabelled:
            result["pretraining_epochs"] = 0
        if result.get("output_first") is None:
            result["output_first"] = True
    return result


def _check_unlabelled(training: TrainingConfig, preset: str) -> None:
    if not training.pretraining_epochs and not training.virtual_texts:
        raise OptionError(
            f"`unlabelled` texts are not used by preset {preset}, which does not pretrain; pass `preset='accurate'`, "
            "`pretraining_epochs=1`, or a `teacher`",
            code="unlabelled-unused",
            preset=preset,
        )


def require_teacher(teacher: object, data: DataSource | None, options: Mapping[str, Any]) -> None:
    """Raise `OptionError` unless a distillation has a teacher, or probabilities in its data."""
    reading, _ = split_read_options(options)
    if teacher is None and not has_soft_labels(data, reading):
        raise OptionError(
            "a teacher is missing; pass `teacher`, or if the data has its probabilities, their columns as "
            "`probability_columns` or `probability_column`",
            code="teacher-missing",
        )


def has_soft_labels(data: DataSource | None, reading: ReadOptions) -> bool:
    """Return whether the data has probabilities of the classes, or `reading` requires them."""
    dataset = data.training if isinstance(data, DataSplits) else data
    return reading.reads_probabilities or (isinstance(dataset, Dataset) and dataset.soft_labels is not None)


def _soft_label_option(reading: ReadOptions) -> str:
    """Return the name of what gives the data its probabilities."""
    options = (name for name in ("probability_columns", "probability_column") if getattr(reading, name))
    return next(options, "soft_labels")


def _check_soft_labels(own: dict[str, Any], data: DataSource, reading: ReadOptions) -> None:
    """Check the options about soft labels, and convert `teacher_labels`."""
    teacher, labels, weight = own.get("teacher"), own.get("teacher_labels"), own.get("label_weight", 0.5)
    for option, given in (("teacher", teacher is not None), ("budget", own.get("budget") is not None)):
        if given and has_soft_labels(data, reading):
            raise OptionError(
                f"`{option}` cannot be set together with probabilities in the data; remove one of the two",
                code="conflicting-options",
                options=(option, _soft_label_option(reading)),
            )
    is_number = isinstance(weight, float | int) and not isinstance(weight, bool)
    if not (is_number and 0 <= weight <= 1):
        raise OptionError(
            f"`label_weight` is {weight!r}; expected a number from 0 to 1",
            code="bad-option-value",
            option="label_weight",
            value=weight,
        )
    if "label_weight" in own and teacher is None and not has_soft_labels(data, reading):
        raise OptionError(
            "`label_weight` is not used: there is neither a teacher nor probabilities in the data; remove it, or add "
            "one of them",
            code="label-weight-unused",
        )
    if labels is not None:
        own["teacher_labels"] = _parse_teacher_labels(labels, is_external=not isinstance(teacher, Path | None))


def _parse_teacher_labels(labels: Any, *, is_external: bool) -> tuple[str, ...] | dict[str, str]:
    names = [name.strip() for name in labels.split(",")] if isinstance(labels, str) else labels
    if isinstance(labels, str) and "=" in labels:
        names = {old.strip(): new.strip() for old, _, new in (name.partition("=") for name in names)}
    classes = list(names.values() if isinstance(names, Mapping) else names) if isinstance(names, Iterable) else []
    if not is_external or len(classes) < 2 or len({*classes, ""}) <= len(classes):
        raise OptionError(
            f"`teacher_labels` is {labels!r}; expected two or more different class names, and a `teacher` of another "
            "library",
            code="bad-option-value",
            option="teacher_labels",
            value=labels,
        )
    return dict(names) if isinstance(names, Mapping) else tuple(classes)


def _check_cross_validation(
    own: Mapping[str, Any], data: DataSource, reading: ReadOptions, training: TrainingConfig
) -> None:
    if not (isinstance(own.get("validation"), str) and own["validation"] == CROSS_VALIDATION):
        return
    if reason := _no_cross_validation(own, data, reading, training):
        raise OptionError(
            f"`validation` cannot be 'cross' together with `{reason}`; pass a fraction such as 0.2",
            code="conflicting-options",
            options=("validation", reason),
        )


def _no_cross_validation(
    own: Mapping[str, Any], data: DataSource, reading: ReadOptions, training: TrainingConfig
) -> str | None:
    """Return the option that makes cross-validation impossible; None if it is possible."""
    conflicts = {
        **{name: own.get(name) is not None for name in ("teacher", "unlabelled")},
        "early_exit": bool(own.get("early_exit")),
        "pretraining_epochs": training.pretraining_epochs > 0,
        "virtual_texts": training.virtual_texts > 0,
        _soft_label_option(reading): has_soft_labels(data, reading),
    }
    return next((name for name, conflict in conflicts.items() if conflict), None)


def _check_budget(own: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    conflicts = {"resume": own.get("resume", False)}
    conflicts |= {name: own.get(name) is not None for name in ("teacher", "preset", "word_vectors")}
    conflicts |= {name: value is not None for name, value in fields.items() if name not in BUDGET_FIELDS}
    for name, conflict in conflicts.items():
        if conflict:
            reason = {
                "resume": "a run with a budget cannot be resumed",
                "teacher": "a student is trained without a budget",
                "word_vectors": "the candidates do not start from word vectors",
            }.get(name, "the budget determines it")
            raise OptionError(
                f"`{name}` cannot be set together with `budget`: {reason}; remove one of the two",
                code="conflicting-options",
                options=(name, "budget"),
            )
