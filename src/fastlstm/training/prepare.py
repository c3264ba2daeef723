"""Prepare a run: train the tokenizer, tokenize the texts, fit the n-gram part, create the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.config.options import Precision
from fastlstm.data import Dataset
from fastlstm.data.validation import require_classes
from fastlstm.errors import OptionError
from fastlstm.language_model.loop import PHASE, LanguageModelEpoch, LanguageModelState, LanguageModelStep
from fastlstm.nn import checkpoint
from fastlstm.nn.device import find_device
from fastlstm.nn.kernel_lstm import training_precision
from fastlstm.nn.numerics import training_numerics
from fastlstm.nn.runs import fingerprint
from fastlstm.nn.tokens import resolve_tokens
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel, make_text_tokenizer
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.text import batches
from fastlstm.text.tokenizer import TokenizedTexts, require_words, train_tokenizer
from fastlstm.training.calibration import Blend, Calibration, calibrate, choose_logits, fit_blend, log_probabilities
from fastlstm.training.characters import vocabulary_words
from fastlstm.training.events import EpochResult, StepDone
from fastlstm.training.finetuning import config_from_encoder, copy_encoder, fit_head
from fastlstm.training.linear import Wide, fit_wide
from fastlstm.training.loop import (
    EpochScores,
    LabelledIds,
    TrainingState,
    best_epoch,
    compute_logits,
    make_optimizer,
    train_epochs,
)
from fastlstm.training.model import TextClassifier
from fastlstm.training.pretraining import Pretraining
from fastlstm.training.threshold import best_threshold, check_threshold_metric
from fastlstm.training.word_vectors import KnownVectors, find_vectors

TrainingLoopEvent = LanguageModelStep | LanguageModelEpoch | StepDone | EpochResult
"""Events of the training loop."""

AFTER_TRAINING = ("calibration", "threshold_metric")
"""Fields that do not affect the weights: a run can be resumed with other values."""
MAX_REFITTED_TEXTS = 100_000
"""With more texts, the n-grams are not fitted again on all: a fifth more of them gains less than it costs."""


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for n texts by models that were not trained on them.

    They select the epoch and fit the probabilities of a run on all texts.

    Attributes:
        labelled: Classes [n] and n-gram logits [n, logits] of the texts, without the texts.
        logits: [epochs, n, logits], the logits of the LSTM after each epoch.
        scores: Loss and accuracy on the texts after each epoch.
        wide_choice: Index of the n-gram part whose logits these are, in the order of `INVERSE_PENALTIES`.
    """

    labelled: LabelledIds
    logits: FloatArray
    scores: EpochScores
    wide_choice: int = 0


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to train: tokenized texts, a model with fresh weights, and the training state.

    `truncated` is the fraction of training texts that are truncated. `identity` holds the settings and data that a
    resumed run must share with the interrupted one; its precision is the actual one, that of `training_config` may be
    "auto". `vectors` are those that tokens start from, if any. `is_linear` is whether the n-grams alone decide. With
    `out_of_fold`, `validation` has no texts. `wide_fits` are the fitted n-gram parts, one per penalty, or none;
    `wide_choice` is the index of the one in use.
    """

    model_config: ModelConfig
    training_config: TrainingConfig
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    training: LabelledIds
    validation: LabelledIds
    truncated: float
    state: TrainingState
    identity: dict[str, Any]
    wide_fits: tuple[Wide, ...] = ()
    wide_choice: int = 0
    pretraining: Pretraining | None = None
    unlabelled: Sequence[TokenIds] = ()
    starts_from_language_model: bool = False
    vectors: KnownVectors | None = None
    is_linear: bool = False
    out_of_fold: OutOfFold | None = None

    @property
    def wide(self) -> Wide | None:
        """The n-gram part, if there is one."""
        return self.wide_fits[self.wide_choice] if self.wide_fits else None

    @property
    def is_soft(self) -> bool:
        """Whether the training texts have soft labels."""
        return self.training.soft_labels is not None

    @property
    def word_vectors(self) -> dict[str, FloatArray] | None:
        """The pretrained vectors of the words of the vocabulary, if there are any."""
        return None if self.vectors is None else self.vectors.words(self.tokenizer)

    def with_out_of_fold(self, out_of_fold: OutOfFold) -> PreparedRun:
        """Return the run with the choices made on left-out texts: n-grams, epoch, blend, calibration, threshold."""
        return dataclasses.replace(
            self, validation=out_of_fold.labelled, out_of_fold=out_of_fold, wide_choice=out_of_fold.wide_choice
        )

    def epochs(self) -> Iterator[TrainingLoopEvent]:
        """Train from the current state to the end: first as a language model, if configured, then on labels.

        A linear model has no epochs: its n-grams are fitted already.
        """
        if self.is_linear:
            return
        if self.pretraining is not None and self._is_fresh():
            yield from self.pretraining.steps()
            with training_numerics():
                self.pretraining.copy_to(self.state.model)
        if self.training_config.output_first and self.starts_from_language_model and self._is_fresh():
            fit_head(
                self.state.model,
                self.training,
                self.validation if self.out_of_fold is None else None,
                balanced=self.training_config.class_weights == "balanced",
            )
        config = dataclasses.replace(self.training_config, precision=self.identity["precision"])
        validation = self.validation if self.out_of_fold is None else self.out_of_fold.scores
        yield from train_epochs(self.state, self.training, validation, config, self.unlabelled)

    @property
    def running(self) -> LanguageModelState | TrainingState:
        """The state of the current phase."""
        if self.pretraining is not None and self._is_fresh():
            return self.pretraining.state
        return self.state

    def save(self, path: Path) -> None:
        """Write the checkpoint of the current phase atomically. Raise `WriteError`."""
        self.running.save(path, self.identity)

    def restore(self, path: Path) -> None:
        """Restore the state of a checkpoint.

        Raises:
            ResumeError: No checkpoint, a damaged one, or one of a run with another identity.
        """
        if self.pretraining is not None and checkpoint.checkpoint_phase(path) == PHASE:
            self.pretraining.state.restore(path, self.identity)
        else:
            self.state.restore(path, self.identity)

    def _is_fresh(self) -> bool:
        """Return whether training on labels has not started."""
        return self.state.epoch == self.state.step == 0

    def encode(self, dataset: Dataset) -> LabelledIds:
        """Tokenize further labelled texts. Raise `DataError` for an unknown label."""
        tokenized = make_text_tokenizer(self.tokenizer, self.model_config)(dataset.texts)
        return _labelled(tokenized, dataset.label_indices(self.labels), self.wide)

    def should_refit_ngrams(self, calibration: Calibration, count: int) -> bool:
        """Return whether to fit the n-grams again on `count` texts: they have a weight, and learn from labels alone."""
        has_weight = self.wide is not None and calibration.blend.wide > 0
        return has_weight and not self.is_soft and count <= MAX_REFITTED_TEXTS

    def refit_ngrams(self, texts: Dataset, max_ngrams: int) -> PreparedRun:
        """Return the run with the n-gram part fitted again, on these texts, with the penalty that is in use.

        Args:
            texts: Labelled texts with the classes of the run.
            max_ngrams: Number of n-grams kept.
        """
        assert self.wide is not None
        tokenized = make_text_tokenizer(self.tokenizer, self.model_config)(texts.texts)
        assert tokenized.untruncated is not None
        wide_fits = fit_wide(
            tokenized.untruncated,
            texts.label_indices(self.labels),
            self.wide.weight.shape[1],
            max_ngrams,
            self.model_config.ngram_kinds,
            words=vocabulary_words(self.tokenizer),
            balanced=self.training_config.class_weights == "balanced",
            inverse_penalties=[self.wide.inverse_penalty],
        )
        model_config = dataclasses.replace(self.model_config, ngrams=len(wide_fits[0].ngram_ids))
        return dataclasses.replace(self, wide_fits=wide_fits, wide_choice=0, model_config=model_config)

    def wide_logits(self, texts: Sequence[str]) -> list[FloatArray]:
        """Return the logits [n, logits] of each of `wide_fits`."""
        return _wide_logits(self.wide_fits, make_text_tokenizer(self.tokenizer, self.model_config)(texts))

    def calibrate(self, logits: FloatArray) -> Calibration:
        """Fit the probabilities and the decision threshold as configured.

        Args:
            logits: [n, logits] of the validation texts, from `compute_logits`.
        """
        sigmoid, config, classes = self.state.model.sigmoid, self.training_config, self.validation.classes
        wide_logits, blend = self.validation.wide_logits, Blend()
        if wide_logits is not None:
            blend = Blend(0.0, 1.0)
            if not self.is_linear:
                blend = fit_blend(logits, wide_logits, classes, sigmoid=sigmoid)
            logits = blend.apply(logits, wide_logits)
        calibration = Calibration(texts=len(classes))
        if config.calibration == "auto":
            calibration = calibrate(logits, classes, sigmoid=sigmoid)
        calibration = dataclasses.replace(calibration, blend=blend)
        if config.threshold_metric == "none":
            return calibration
        second = np.exp(log_probabilities(calibration.apply(logits).astype(np.float64), sigmoid)[:, 1])
        threshold = best_threshold(second.astype(np.float32), classes, config.threshold_metric)
        return dataclasses.replace(calibration, threshold=threshold)

    def validation_logits(self) -> FloatArray:
        """Return the logits [n, logits] of the validation texts, or of the left-out texts after the best epoch.

        Those of left-out texts do not need a trained model.
        """
        if self.out_of_fold is not None:
            scores = self.out_of_fold.scores[: len(self.state.history) or None]
            chosen: FloatArray = self.out_of_fold.logits[best_epoch(scores, self.training_config)]
            return chosen
        return compute_logits(self.state.model, self.validation.texts).numpy()

    def saved_model(self, training_record: dict[str, Any], calibration: Calibration) -> SavedModel:
        """Return the current model, for inference and for saving. N-grams without weight are left out."""
        config, arrays = self.model_config, calibration.fold(self.state.model.arrays(), self.wide)
        ngrams = {} if self.wide is None else {"wide.ngrams": self.wide.ngram_ids}
        if ngrams and not calibration.blend.wide:
            config, ngrams = dataclasses.replace(config, ngrams=0), {}
            del arrays["wide.weight"]
        return SavedModel(
            config=config,
            labels=self.labels,
            tokenizer=self.tokenizer,
            weights=arrays,
            integer_arrays=ngrams,
            temperature=calibration.temperature,
            training=training_record,
            threshold=calibration.threshold,
        )


def prepare(
    training: Dataset,
    validation: Dataset,
    model_config: ModelConfig,
    training_config: TrainingConfig,
    *,
    device: str = "auto",
    cap_vocabulary: bool,
    is_size_given: bool | None = None,
    unlabelled: Sequence[str] = (),
    encoder: SavedLanguageModel | None = None,
    word_vectors: Path | Mapping[str, FloatArray] | None = None,
    soft_labels: FloatArray | None = None,
    precision: Precision | None = None,
) -> PreparedRun:
    """Train the tokenizer on the training texts, tokenize all texts, and create the model.

    Args:
        training: Training texts; their labels are the classes of the model.
        validation: Texts that select the best epoch.
        model_config: Shape of the model.
        training_config: Configuration of the training; small datasets may change batch size and epochs, see
            `TrainingConfig.for_texts`.
        device: "auto", "cpu" or "cuda".
        cap_vocabulary: If the texts have fewer words than `vocabulary_size`, reduce it instead of raising an error.
        is_size_given: Whether the user set `vocabulary_size`, which then also is that of subwords, see
            `resolve_tokens`. None: unless `cap_vocabulary`.
        unlabelled: Further texts, for the vocabulary and for pretraining.
        encoder: Language model to start from; it determines vocabulary and sizes.
        word_vectors: Vectors that the embeddings of their words start from, see `find_vectors`; excludes `encoder`.
        soft_labels: [n, classes] probabilities of each training text, classes in the order of their names. They are
            the targets of the LSTM; the n-gram part is fitted on the labels.
        precision: The actual precision of the run, from `run_precision`. None: that of a new run with this
            configuration.

    Raises:
        DataError: Fewer than two classes, a validation label that is not a training label, or texts without words.
        DeviceError: CUDA is requested and not available.
        OptionError: Vocabulary too large without `cap_vocabulary`, or a decision threshold for other than two classes.
    """
    torch_device = find_device(device)
    require_classes(training)
    training_config = training_config.for_texts(len(training))
    labels = tuple(training.class_names)
    check_threshold_metric(training_config.threshold_metric, len(labels), "the training texts have")
    _check_virtual(training_config, unlabelled)
    pretrain = training_config.pretraining_epochs > 0
    further_texts = unlabelled if pretrain or training_config.virtual_texts else ()
    if encoder is None:
        is_given = not cap_vocabulary if is_size_given is None else is_size_given
        model_config = resolve_tokens(model_config, training.texts, is_size_given=is_given)
        vocabulary_texts = [*training.texts, *further_texts]
        tokenizer = train_tokenizer(vocabulary_texts, model_config.vocabulary_size, model_config.tokens)
        require_words(tokenizer, training.source)
    else:
        tokenizer, model_config = encoder.tokenizer, config_from_encoder(encoder.config, model_config)
    size = tokenizer.get_vocab_size()
    if size < model_config.vocabulary_size:
        if not cap_vocabulary:
            raise OptionError(
                f"`vocabulary_size` is {model_config.vocabulary_size}, but the training texts have {size} distinct "
                f"tokens ({model_config.tokens}); set it to {size} or less",
                code="vocabulary-too-large",
                vocabulary_size=model_config.vocabulary_size,
                words=size,
            )
        model_config = dataclasses.replace(model_config, vocabulary_size=size)
    tokenize = make_text_tokenizer(tokenizer, model_config, keep_untruncated=pretrain)
    tokenized, classes = tokenize(training.texts), training.label_indices(labels)
    wide_fits: tuple[Wide, ...] = ()
    if model_config.ngrams and tokenized.untruncated is not None:
        wide_fits = fit_wide(
            tokenized.untruncated,
            classes,
            weights.output_size(model_config, len(labels)),
            model_config.ngrams,
            model_config.ngram_kinds,
            words=vocabulary_words(tokenizer),
            balanced=training_config.class_weights == "balanced",
        )
        model_config = dataclasses.replace(model_config, ngrams=len(wide_fits[0].ngram_ids))
    training_ids = LabelledIds(tokenized.ids, classes, soft_labels=soft_labels)
    tokenized_validation, validation_classes = tokenize(validation.texts), validation.label_indices(labels)
    wide_choice = 0
    if wide_fits:
        wide_choice = choose_logits(
            _wide_logits(wide_fits, tokenized_validation),
            validation_classes,
            sigmoid=weights.uses_sigmoid(model_config, len(labels)),
        )
    wide = wide_fits[wide_choice] if wide_fits else None
    validation_ids = _labelled(tokenized_validation, validation_classes, wide)
    vectors = None if word_vectors is None else find_vectors(word_vectors, tokenizer)
    with training_numerics():
        model = TextClassifier(model_config, len(labels), seed=training_config.seed).to(torch_device)
        if encoder is not None:
            copy_encoder(model, encoder.weights)
        if vectors is not None:
            vectors.copy_to(model.embedding)
    if precision is None:
        precision = training_precision(
            training_config.precision, model_config.hidden_sizes, training_config.batch_size, torch_device
        )
    pretraining = None
    further = tokenize(further_texts)
    if pretrain and tokenized.untruncated is not None:
        texts = [*tokenized.untruncated, *(further.untruncated or [])]
        start_weights = None if encoder is None else encoder.weights
        pretraining = Pretraining.create(
            texts,
            model_config,
            dataclasses.replace(training_config, precision=precision),
            torch_device,
            start_weights,
        )
        if vectors is not None:
            vectors.copy_to(pretraining.state.model.embedding)
    return PreparedRun(
        model_config=model_config,
        training_config=training_config,
        labels=labels,
        tokenizer=tokenizer,
        training=training_ids,
        validation=validation_ids,
        truncated=tokenized.truncated_count / len(training),
        state=TrainingState(model, make_optimizer(model, training_config)),
        identity={
            **({} if soft_labels is None else {"soft labels": fingerprint([soft_labels])}),
            **{k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(model_config).items()},
            **{k: v for k, v in dataclasses.asdict(training_config).items() if k not in AFTER_TRAINING},
            "precision": precision,
            "device": torch_device.type,
            **({} if pretraining is None else {"pretraining texts": fingerprint(pretraining.texts)}),
            **({} if encoder is None else {"encoder": fingerprint(encoder.weights.values())}),
            **({} if vectors is None else {"word vectors": fingerprint([vectors.ids, vectors.values])}),
            **({"unlabelled data": fingerprint(further.ids)} if further.ids else {}),
            **(
                {"n-grams": fingerprint([array for k in wide_fits for array in (k.ngram_ids, k.weight)])}
                if wide_fits
                else {}
            ),
            "training data": _fingerprint(training_ids),
            "validation data": _fingerprint(validation_ids),
        },
        wide_fits=wide_fits,
        wide_choice=wide_choice,
        pretraining=pretraining,
        unlabelled=further.ids,
        starts_from_language_model=encoder is not None or pretraining is not None,
        vectors=vectors,
    )


def _check_virtual(config: TrainingConfig, unlabelled: Sequence[str]) -> None:
    """Raise `OptionError` if virtual adversarial training is configured but not possible."""
    if config.virtual_texts and not unlabelled:
        raise OptionError(
            f"`virtual_texts` is {config.virtual_texts}, but there are no unlabelled texts (a teacher labels them); "
            "pass `unlabelled` texts, or `virtual_texts=0`",
            code="virtual-texts-need-unlabelled",
        )
    if config.virtual_texts and not config.adversarial:
        raise OptionError(
            "`virtual_texts` needs `adversarial`, the norm of the perturbation, above 0; set `adversarial=0.02`",
            code="virtual-texts-need-adversarial",
        )


def _wide_logits(wide_fits: Sequence[Wide], tokenized: TokenizedTexts) -> list[FloatArray]:
    """Return the logits [n, logits] of each n-gram part."""
    untruncated = tokenized.untruncated
    return [] if untruncated is None else [wide.logits(untruncated) for wide in wide_fits]


def _labelled(tokenized: TokenizedTexts, classes: IndexArray, wide: Wide | None) -> LabelledIds:
    if wide is None or tokenized.untruncated is None:
        return LabelledIds(tokenized.ids, classes)
    return LabelledIds(tokenized.ids, classes, wide.logits(tokenized.untruncated))


def _fingerprint(data: LabelledIds) -> str:
    soft_labels = [] if data.soft_labels is None else [data.soft_labels]
    return fingerprint([batches.lengths_of(data.texts), data.classes, *data.texts, *soft_labels])
