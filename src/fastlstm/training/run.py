"""One training run, from settings to a saved model, as a generator of events."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator

from fastlstm._typing import FloatArray
from fastlstm.data.classes import class_notes
from fastlstm.data.datasets.download import DownloadProgress
from fastlstm.data.splits import DataSplits, load_splits
from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.language_model.loop import LanguageModelEpoch
from fastlstm.metrics import FEW_TEXTS, Report
from fastlstm.nn.parallel import process_group
from fastlstm.nn.runs import (
    check_output,
    check_same_run,
    checkpoint_path,
    precision_notes,
    with_checkpoints,
)
from fastlstm.nn.threads import on_one_thread
from fastlstm.nn.tokens import tokens_note, vocabulary_notes
from fastlstm.notes import Note, known_words_note
from fastlstm.serialization.classifier import make_text_tokenizer, read_classifier, unsupported_reason
from fastlstm.serialization.folder import CONFIG, HISTORY, json_bytes
from fastlstm.serialization.language_model import read_language_model
from fastlstm.training.agreement import Agreement, contradiction_note, has_own_label, with_own_labels
from fastlstm.training.budget import describe_evaluation, select_best
from fastlstm.training.calibration import Calibration, calibration_note
from fastlstm.training.comparison import compare_without_encoder
from fastlstm.training.cross_validation import cross_validate, cross_validated_baseline
from fastlstm.training.distillation import soft_targets
from fastlstm.training.early_exit import add_early_exit
from fastlstm.training.evaluation import (
    calibrate_and_predict,
    check_parity,
    evaluate_model,
    is_balanced,
    mean_known,
    prepared_event,
    training_plots,
    training_record,
)
from fastlstm.training.events import EpochResult, Evaluated, TrainingEvent, TrainingResult
from fastlstm.training.linear import BASELINE_NAME, baseline_report
from fastlstm.training.prepare import PreparedRun, prepare
from fastlstm.training.settings import TrainingSettings
from fastlstm.training.teacher_labels import agreement_of, label_all, load_teacher, precision_of, soft_labels_of
from fastlstm.training.teachers import Teacher

CHECKPOINT_SECONDS = 15.0
"""Seconds between two checkpoints, the work that a crash loses."""


@on_one_thread
def run(
    settings: TrainingSettings,
    *,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> Generator[TrainingEvent, None, None]:
    """Load the data, train, evaluate and save; the last event is the `TrainingResult`.

    The state is saved at `checkpoint_path(settings.out)` during training and when the caller closes the generator.
    That file is removed when the model is saved.

    Args:
        settings: The settings of the run.
        log, progress: Called while data is downloaded and read, as by `load_imdb`.

    Raises:
        InputError: The settings or the data are wrong; nothing was written.
        WriteError: The model or a checkpoint cannot be written; an existing model is unchanged.
        TrainingError: Training diverged.
    """
    check_output(
        settings.out,
        overwrite=settings.overwrite,
        resume=settings.resume,
        device=settings.device,
        plots=settings.plots,
    )
    if settings.workers > 1 and process_group().size == 1:
        cluster = importlib.import_module("fastlstm.integrations.ray.training")
        yield from cluster.events(run, settings, log=log, progress=progress)
        return
    notes: list[Note] = []
    with contextlib.closing(_run(settings, log=log, progress=progress)) as events:
        for event in events:
            if isinstance(event, Note):
                notes.append(event)
            yield dataclasses.replace(event, notes=tuple(notes)) if isinstance(event, TrainingResult) else event


def _run(
    settings: TrainingSettings, *, log: Callable[[str], None] | None, progress: DownloadProgress | None
) -> Generator[TrainingEvent, None, None]:
    source = settings
    if settings.data is None and settings.teacher is not None:
        labelled = yield from label_all(settings, log=log, progress=progress)
        source = dataclasses.replace(settings, data=labelled, unlabelled=None)
    data = load_data(source, folds=settings.folds, log=log, progress=progress)
    if settings.reading.reads_probabilities and data.training.soft_labels is None:
        raise DataError(
            f"no row of {data.origin} has probabilities; expected them in the columns that "
            "`probability_columns` or `probability_column` names",
            code="no-probabilities",
            source=data.training.source,
        )
    yield from data_notes(data)
    if settings.budget is None:
        yield from _run_once(settings, data)
    else:
        yield from _run_candidates(settings, data, settings.budget)


def load_data(
    settings: TrainingSettings,
    *,
    folds: int = 0,
    log: Callable[[str], None] | None = None,
    progress: DownloadProgress | None = None,
) -> DataSplits:
    """Return the training, validation and test texts of a run. The arguments are those of `load_splits`."""
    if isinstance(settings.data, DataSplits):
        return settings.data
    return load_splits(
        settings.data,
        validation=settings.validation,
        test=settings.test,
        unlabelled=settings.unlabelled,
        reading=settings.reading,
        data_dir=settings.data_dir,
        seed=settings.training.seed,
        folds=folds,
        log=log,
        progress=progress,
    )


def data_notes(data: DataSplits) -> Iterator[Note]:
    """Yield the origin of the texts, and what is doubtful about their classes."""
    yield Note(f"data: {data.origin}", code="data")
    yield from data.notes
    yield from class_notes(Counter(data.training.labels), data.training.source)


def _run_once(settings: TrainingSettings, data: DataSplits) -> Generator[TrainingEvent, None, None]:
    evaluation = data.evaluation
    data = with_own_labels(data)
    prepared, teacher = yield from _prepare(settings, data)
    yield from _start(settings, prepared)
    baseline = yield from _evaluate_baseline(settings, data)
    yield from _fit(settings, prepared)
    yield from _finish(settings, data, prepared, baseline, lambda model: agreement_of(model, teacher, evaluation))


def _run_candidates(
    settings: TrainingSettings, data: DataSplits, budget: float
) -> Generator[TrainingEvent, None, None]:
    started = time.monotonic()
    baseline = yield from _evaluate_baseline(settings, data)
    best = yield from select_best(settings, data, budget - (time.monotonic() - started))
    yield Note(f"best candidate on the validation texts: {best.name}", code="best-candidate")
    if best.settings.encoder is None:
        yield from tokens_note(best.settings.model, best.data.training.texts)
    yield from _known_words_notes(best.settings, best.data, best.prepared)
    if note := stream_note(best.prepared):
        yield note
    # The best candidate is already saved in `out`.
    settings = dataclasses.replace(best.settings, overwrite=True)
    yield from _finish(settings, describe_evaluation(best.data), best.prepared, baseline)


def _prepare(
    settings: TrainingSettings, data: DataSplits
) -> Generator[TrainingEvent, None, tuple[PreparedRun, Teacher | None]]:
    teacher: Teacher | None = None
    training, unlabelled = data.training, data.unlabelled
    encoder = None if settings.encoder is None else read_language_model(settings.encoder)
    precision = precision_of(settings, len(training), encoder)
    if settings.teacher is not None:
        teacher = load_teacher(settings, precision)
    soft_labels: FloatArray | None = None
    if (soft := training.soft_labels) is not None:
        soft_labels = soft.columns(training.class_names)
        training = soft_targets(training, soft_labels, (), settings.label_weight)
    elif teacher is not None:
        texts = [*training.texts, *unlabelled]
        soft_labels = yield from soft_labels_of(teacher, settings, training.class_names, texts, training.source)
        training, unlabelled = soft_targets(training, soft_labels, unlabelled, settings.label_weight), ()
    if note := contradiction_note(data.training, soft_labels):
        yield note
    own = has_own_label(data.validation)
    if not own.all():
        yield Note(
            f"{int((~own).sum()):,} of the {len(own):,} validation texts have no labels of their own: there, the most "
            "probable classes of the teacher select the epoch and fit the probabilities",
            code="teacher-validates",
        )
    prepared = prepare(
        training,
        data.validation,
        settings.model,
        settings.training,
        device=settings.device,
        cap_vocabulary=settings.cap_vocabulary,
        unlabelled=unlabelled,
        encoder=encoder,
        word_vectors=settings.word_vectors,
        soft_labels=None if training.soft_labels is None else training.soft_labels.probabilities,
        precision=precision,
    )
    if settings.encoder is None:
        yield from vocabulary_notes(settings.model, prepared.model_config, training.texts)
    if settings.word_vectors is not None and prepared.vectors is not None:
        yield Note(
            f"word vectors: {settings.word_vectors.name} has {len(prepared.vectors.ids):,} of the "
            f"{prepared.model_config.vocabulary_size:,} tokens",
            code="word-vectors",
        )
    yield from _notes(settings, data, prepared)
    if data.folds:
        out_of_fold = yield from cross_validate(
            data.training,
            data.folds,
            settings.model,
            settings.training,
            is_size_given=not settings.cap_vocabulary,
            device=settings.device,
            encoder=encoder,
            word_vectors=prepared.word_vectors,
            precision=precision,
        )
        prepared = prepared.with_out_of_fold(out_of_fold)
    yield prepared_event(data, prepared)
    return prepared, teacher


def _notes(settings: TrainingSettings, data: DataSplits, prepared: PreparedRun) -> Iterator[Note]:
    model = prepared.model_config
    yield from precision_notes(prepared.training_config.precision, prepared.identity)
    if prepared.truncated:
        fraction = f"{prepared.truncated:.0%}" if prepared.truncated >= 0.01 else "less than 1%"
        part = "beginning and end" if model.truncate == "both" else model.truncate
        yield Note(
            f"{fraction} of the training texts have more than {model.max_tokens} tokens and are truncated to their "
            f"{part}",
            code="texts-truncated",
        )
    if overlap := data.overlap:
        yield Note(
            f"{overlap:,} of the {len(data.evaluation):,} evaluation texts are also training texts",
            code="texts-overlap",
        )
    if overlap := data.unlabelled_overlap:
        yield Note(
            f"{overlap:,} of the {len(data.evaluation):,} evaluation texts are also unlabelled texts, which are "
            "trained on",
            code="texts-overlap",
        )
    if data.test is not None and len(data.validation) < FEW_TEXTS and not data.folds:
        yield Note(
            f"only {len(data.validation)} validation texts select the epoch and fit the probabilities; pass more "
            "as `validation`",
            code="few-validation-texts",
        )
    yield from _known_words_notes(settings, data, prepared)
    if note := stream_note(prepared):
        yield note


def stream_note(prepared: PreparedRun) -> Note | None:
    """Return a note if the model will not be able to read streams; None if it will."""
    reason = unsupported_reason(
        prepared.model_config, make_text_tokenizer(prepared.tokenizer, prepared.model_config)
    )
    return None if reason is None else Note(f"no streams: {reason}", code="cannot-stream")


def _known_words_notes(settings: TrainingSettings, data: DataSplits, prepared: PreparedRun) -> Iterator[Note]:
    """Yield at most one note: about the first part whose words are mostly unknown to the vocabulary."""
    reader, parts = "the vocabulary of the training texts", [data.validation]
    if settings.encoder is not None:
        reader, parts = f"the encoder {settings.encoder.name}", [data.training, data.validation]
    if data.test is not None:
        parts.append(data.test)
    tokenize = make_text_tokenizer(prepared.tokenizer, prepared.model_config)
    for part in parts:
        if note := known_words_note(mean_known(tokenize, part.texts), reader, part.source):
            yield note
            return


def _start(settings: TrainingSettings, prepared: PreparedRun) -> Iterator[Note]:
    """Restore the checkpoint of a resumed run, or write the first one."""
    checkpoint = checkpoint_path(settings.out)
    if settings.resume:
        prepared.restore(checkpoint)
        if not settings.overwrite and (settings.out / CONFIG).exists():
            check_same_run(settings.out, read_classifier(settings.out).training.get("identity"), prepared.identity)
        state = prepared.running
        yield Note(f"resuming after epoch {state.epoch}, step {state.step} of the next", code="resumed")
    else:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        prepared.save(checkpoint)


def _evaluate_baseline(settings: TrainingSettings, data: DataSplits) -> Generator[Evaluated, None, Report | None]:
    """Evaluate the baseline, before training, while memory is free."""
    if not settings.baseline:
        return None
    started = time.perf_counter()
    if data.folds and data.test is None:
        report = cross_validated_baseline(data.training, data.folds, settings.training.seed)
    else:
        report = baseline_report(data.training, data.evaluation, tuple(data.training.class_names))
    yield Evaluated(BASELINE_NAME, report, data.evaluated_on, time.perf_counter() - started)
    return report


def _fit(settings: TrainingSettings, prepared: PreparedRun) -> Iterator[TrainingEvent]:
    checkpoint = checkpoint_path(settings.out)
    yield from with_checkpoints(
        prepared.epochs(),
        lambda: prepared.save(checkpoint),
        save_after=(EpochResult, LanguageModelEpoch),
        seconds=CHECKPOINT_SECONDS,
    )


def _finish(
    settings: TrainingSettings,
    data: DataSplits,
    prepared: PreparedRun,
    baseline: Report | None,
    compare: Callable[[Classifier], Generator[TrainingEvent, None, Agreement | None]] | None = None,
) -> Iterator[TrainingEvent]:
    """Calibrate, evaluate and save. `compare` returns how the classifier agrees with its teacher, if it has one."""
    history = tuple(prepared.state.history)
    calibrated, predicted = calibrate_and_predict(prepared)
    if settings.encoder is not None and settings.baseline and settings.budget is None and not prepared.is_soft:
        yield from compare_without_encoder(settings, data, prepared, predicted)
    yield calibrated
    if note := calibration_note(calibrated.calibration):
        yield note
    if prepared.is_linear or not calibrated.calibration.blend.lstm:
        yield Note("the model is linear: the n-grams alone decide, without an LSTM", code="linear-model")
    early_exit = None
    if settings.early_exit:
        classifier = Classifier(prepared.saved_model({}, calibrated.calibration))
        with_early_exit, early_exit_note = add_early_exit(classifier, data.validation.texts)
        early_exit = with_early_exit.saved.early_exit
        yield early_exit_note
    if (
        data.holds_out and settings.budget is None
    ):  # a run with a time limit trains all parts again, if there is time
        prepared = yield from _fit_ngrams_on_all(settings, data, prepared, calibrated.calibration)
    started = time.perf_counter()
    # Validation texts were evaluated before n-grams were fitted on them.
    report = calibrated.after
    if data.test is not None:
        report = evaluate_model(prepared, data.test, calibrated.calibration)
    yield Evaluated("model", report, data.evaluated_on, time.perf_counter() - started)
    yield from report.notes(baseline, balanced=is_balanced(prepared))
    record = training_record(settings, data, prepared, calibrated, report, baseline)
    classifier = Classifier(prepared.saved_model(record, calibrated.calibration))
    agreement = None if compare is None else (yield from compare(classifier))
    if agreement is not None:
        record = {**record, "agreement": agreement.to_json()}
    classifier = Classifier(dataclasses.replace(classifier.saved, training=record, early_exit=early_exit))
    check_parity(classifier, prepared, data.validation, calibrated.calibration)
    extras = {HISTORY: json_bytes([dataclasses.asdict(result) for result in history])}
    if settings.plots:
        extras |= training_plots(history, report)
    classifier.save(settings.out, overwrite=settings.overwrite or settings.resume, extras=extras)
    checkpoint_path(settings.out).unlink(missing_ok=True)
    yield TrainingResult(
        classifier, settings.out, history, report, baseline, data.evaluated_on, agreement=agreement
    )


def _fit_ngrams_on_all(
    settings: TrainingSettings, data: DataSplits, prepared: PreparedRun, calibration: Calibration
) -> Generator[Note, None, PreparedRun]:
    """Fit the n-grams again, on training and validation texts, if that is worth it."""
    count = len(data.training) + len(data.validation)
    if not prepared.should_refit_ngrams(calibration, count):
        return prepared
    yield Note(
        f"the n-grams are fitted again on all {count:,} texts, with the penalty and the weight that the validation "
        "texts chose",
        code="ngrams-on-all",
    )
    return prepared.refit_ngrams(data.all_texts, settings.model.ngrams)
