"""Labelled texts -> a fitted model: vocabulary, encoding, training loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.data import Dataset
from fastlstm.data.validation import require_classes
from fastlstm.errors import OptionError
from fastlstm.language_model.loop import PHASE, LanguageModelEpoch, LanguageModelState, LanguageModelStep
from fastlstm.nn import checkpoint
from fastlstm.nn.device import find_device
from fastlstm.nn.kernel_lstm import effective_precision
from fastlstm.nn.numerics import training_numerics
from fastlstm.nn.runs import fingerprint
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.text import batches
from fastlstm.text.tokenizer import TextTokenizer, TokenizedTexts, train_tokenizer
from fastlstm.training.calibration import (
    Blend,
    Calibration,
    best_threshold,
    calibrate,
    fit_blend,
    log_probabilities,
)
from fastlstm.training.events import EpochResult, StepDone
from fastlstm.training.finetuning import config_from_encoder, copy_encoder, fit_head
from fastlstm.training.linear import Wide, fit_wide
from fastlstm.training.loop import LabelledIds, TrainingState, compute_logits, make_optimizer, train_epochs
from fastlstm.training.model import TextClassifier
from fastlstm.training.pretraining import Pretraining

TrainingProgress = LanguageModelStep | LanguageModelEpoch | StepDone | EpochResult
"""What a run in training brings, one after the other."""

AFTER_TRAINING = ("calibration", "threshold_metric")
"""Options that no weight depends on: an unfinished run can go on with others."""


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to train: encoded texts, a model with fresh weights, and the state of its training.

    `longer` is the share of the training texts that truncation cuts.
    """

    model_config: ModelConfig
    training_config: TrainingConfig
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    training: LabelledIds
    validation: LabelledIds
    longer: float
    state: TrainingState
    identity: dict[str, Any]
    wide: Wide | None = None
    pretraining: Pretraining | None = None
    unlabelled: Sequence[npt.NDArray[np.int32]] = ()
    begins_from_language_model: bool = False

    def epochs(self) -> Iterator[TrainingProgress]:
        """Trains from where the state is to the end: as a language model, if that is asked for, then on labels.

        See `pretrain` and `train_epochs`.
        """
        if self.pretraining is not None and self._is_fresh():
            yield from self.pretraining.steps()
            with training_numerics():
                self.pretraining.hand_over(self.state.model)
        if self.training_config.output_first and self.begins_from_language_model and self._is_fresh():
            fit_head(
                self.state.model,
                self.training,
                self.validation,
                balanced=self.training_config.class_weights == "balanced",
            )
        yield from train_epochs(self.state, self.training, self.validation, self.training_config, self.unlabelled)

    @property
    def running(self) -> LanguageModelState | TrainingState:
        """The state of the phase that runs."""
        if self.pretraining is not None and self._is_fresh():
            return self.pretraining.state
        return self.state

    def save(self, path: Path) -> None:
        """Writes the checkpoint of the phase that runs, whole or not at all. Raises `WriteError`."""
        self.running.save(path, self.identity)

    def restore(self, path: Path) -> None:
        """Goes back to where the checkpoint was written.

        Raises `ResumeError` if there is none, it is damaged, or belongs to a run of another identity.
        """
        if self.pretraining is not None and checkpoint.checkpoint_phase(path) == PHASE:
            self.pretraining.state.restore(path, self.identity)
        else:
            self.state.restore(path, self.identity)

    def _is_fresh(self) -> bool:
        """Whether training on labels has yet to begin."""
        return self.state.epoch == self.state.step == 0

    def encode(self, records: Dataset) -> LabelledIds:
        """Further labelled texts, as this model reads them. Raises `DataError` for an unknown label."""
        encoded = make_text_tokenizer(self.tokenizer, self.model_config)(records.texts)
        return _labelled(encoded, records.label_indices(self.labels), self.wide)

    def calibrate(self, logits: npt.NDArray[np.float32]) -> Calibration:
        """Fits the probabilities and the decision threshold, as they are asked for.

        Args:
            logits: of the validation texts, as `compute_logits` gives them for the model as it stands.
        """
        sigmoid, config, truth = self.state.model.sigmoid, self.training_config, self.validation.truth
        evidence, blend = self.validation.evidence, Blend()
        if evidence is not None:
            blend = fit_blend(logits, evidence, truth, sigmoid=sigmoid)
            logits = blend.apply(logits, evidence)
        calibration = Calibration(texts=len(truth))
        if config.calibration == "auto":
            calibration = calibrate(logits, truth, sigmoid=sigmoid)
        calibration = dataclasses.replace(calibration, blend=blend)
        if config.threshold_metric == "none":
            return calibration
        likely = np.exp(log_probabilities(calibration.apply(logits).astype(np.float64), sigmoid)[:, 1])
        threshold = best_threshold(likely.astype(np.float32), truth, config.threshold_metric)
        return dataclasses.replace(calibration, threshold=threshold)

    def validation_logits(self) -> npt.NDArray[np.float32]:
        """[n, logits] of the validation texts, for the model as it stands."""
        return compute_logits(self.state.model, self.validation.texts).numpy()

    def saved_model(self, training_record: dict[str, Any], calibration: Calibration) -> SavedModel:
        """The model as it stands, for inference and for saving."""
        return SavedModel(
            config=self.model_config,
            labels=self.labels,
            tokenizer=self.tokenizer,
            weights=calibration.folded(self.state.model.arrays(), self.wide),
            numbers={} if self.wide is None else {"wide.ngrams": self.wide.numbers},
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
    unlabelled: Sequence[str] = (),
    encoder: SavedLanguageModel | None = None,
    shares: npt.NDArray[np.float32] | None = None,
) -> PreparedRun:
    """Builds the vocabulary from the training texts, encodes all, and makes the model.

    Args:
        training: texts to learn from; their labels are the model's classes.
        validation: texts that choose the best epoch.
        model_config: the model's shape.
        training_config: how it is trained; few texts may change its batch size and epochs, see there.
        device: "auto", "cpu" or "cuda".
        cap_vocabulary: where the texts have fewer words than `vocabulary_size`, take those there are;
            otherwise that is an `OptionError`.
        unlabelled: further texts, for the vocabulary and for pretraining.
        encoder: a language model to begin from, whose vocabulary and sizes the model then has.
        shares: [n, classes] how likely a teacher finds each class of each training text, the classes in the order
            of their names. The LSTM learns these; the wide part learns the labels.

    Raises:
        DataError: fewer than two classes, or a validation label that training lacks.
        DeviceError: cuda is asked for and not there.
        OptionError: see `cap_vocabulary`; or a decision threshold is asked for, and there are not two classes.
    """
    place = find_device(device)
    require_classes(training)
    training_config = training_config.for_texts(len(training))
    labels = tuple(training.class_names)
    if training_config.threshold_metric != "none" and len(labels) != 2:
        raise OptionError(
            f"threshold-metric is {training_config.threshold_metric!r}, and the training texts have {len(labels)} "
            "classes; only a model of two classes has a threshold: leave it at none"
        )
    _check_virtual(training_config, unlabelled)
    pretrains = training_config.pretraining_epochs > 0
    further_texts = unlabelled if pretrains or training_config.virtual_texts else ()
    if encoder is None:
        tokenizer = train_tokenizer([*training.texts, *further_texts], model_config.vocabulary_size)
    else:
        tokenizer, model_config = encoder.tokenizer, config_from_encoder(encoder.config, model_config)
    words = tokenizer.get_vocab_size()
    if words < model_config.vocabulary_size:
        if not cap_vocabulary:
            raise OptionError(
                f"vocabulary-size is {model_config.vocabulary_size}, and the training texts have {words} "
                f"different words; pass --vocabulary-size {words} or less"
            )
        model_config = dataclasses.replace(model_config, vocabulary_size=words)
    encode = make_text_tokenizer(tokenizer, model_config, whole=pretrains)
    encoded, truth = encode(training.texts), training.label_indices(labels)
    wide = None
    if model_config.ngrams and encoded.whole is not None:
        logits = weights.output_size(model_config, len(labels))
        wide = fit_wide(
            encoded.whole,
            truth,
            logits,
            model_config.ngrams,
            model_config.ngram_kinds,
            balanced=training_config.class_weights == "balanced",
        )
        model_config = dataclasses.replace(model_config, ngrams=len(wide.numbers))
    learned = LabelledIds(encoded.ids, truth, shares=shares)
    held_out = _labelled(encode(validation.texts), validation.label_indices(labels), wide)
    with training_numerics():
        model = TextClassifier(model_config, len(labels), seed=training_config.seed).to(place)
        if encoder is not None:
            copy_encoder(model, encoder.weights)
    pretraining = None
    further = encode(further_texts)
    if pretrains and encoded.whole is not None:
        texts = [*encoded.whole, *(further.whole or [])]
        begin = None if encoder is None else encoder.weights
        pretraining = Pretraining.of(texts, model_config, training_config, place, begin)
    return PreparedRun(
        model_config=model_config,
        training_config=training_config,
        labels=labels,
        tokenizer=tokenizer,
        training=learned,
        validation=held_out,
        longer=encoded.longer / len(training),
        state=TrainingState(model, make_optimizer(model, training_config)),
        identity={
            **dataclasses.asdict(model_config) | {"hidden_sizes": list(model_config.hidden_sizes)},
            **{k: v for k, v in dataclasses.asdict(training_config).items() if k not in AFTER_TRAINING},
            "precision": effective_precision(training_config.precision, place),
            "device": place.type,
            **({} if pretraining is None else {"pretraining texts": fingerprint(pretraining.texts)}),
            **({} if encoder is None else {"encoder": fingerprint(encoder.weights.values())}),
            **({"unlabelled data": fingerprint(further.ids)} if further.ids else {}),
            **({} if wide is None else {"n-grams": fingerprint([wide.numbers, wide.weight])}),
            "training data": _fingerprint(learned),
            "validation data": _fingerprint(held_out),
        },
        wide=wide,
        pretraining=pretraining,
        unlabelled=further.ids,
        begins_from_language_model=encoder is not None or pretraining is not None,
    )


def _check_virtual(config: TrainingConfig, unlabelled: Sequence[str]) -> None:
    """Raises `OptionError` where virtual adversarial training is asked for and can't be had."""
    if config.virtual_texts and not unlabelled:
        raise OptionError(
            f"virtual-texts is {config.virtual_texts}, and there are no unlabelled texts to take them from (with a "
            "teacher they have its labels): give --unlabelled TEXTS, or leave virtual-texts at 0"
        )
    if config.virtual_texts and not config.adversarial:
        raise OptionError(
            "virtual-texts was given, and adversarial, the size of the disturbance, is 0: give --adversarial 0.02"
        )


def make_text_tokenizer(tokenizer: Tokenizer, config: ModelConfig, *, whole: bool = False) -> TextTokenizer:
    """What cuts texts for such a model. `whole`: give whole texts even where no wide part reads them."""
    return TextTokenizer(
        tokenizer,
        max_tokens=config.max_tokens,
        truncate=config.truncate,
        padding=config.padding,
        whole=whole or config.ngrams > 0,
    )


def _labelled(encoded: TokenizedTexts, truth: npt.NDArray[np.int64], wide: Wide | None) -> LabelledIds:
    if wide is None or encoded.whole is None:
        return LabelledIds(encoded.ids, truth)
    return LabelledIds(encoded.ids, truth, wide.evidence(encoded.whole))


def _fingerprint(data: LabelledIds) -> str:
    shares = [] if data.shares is None else [data.shares]
    return fingerprint([batches.lengths_of(data.texts), data.truth, *data.texts, *shares])
