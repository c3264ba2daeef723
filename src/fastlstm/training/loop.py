"""The training loop: a generator of events, which the caller prints, saves or stops."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.config import TrainingConfig
from fastlstm.nn import checkpoint
from fastlstm.nn.device import AsyncScalar, to_device
from fastlstm.nn.kernel_lstm import training_precision
from fastlstm.nn.numerics import (
    autocast,
    derive_seed,
    learning_rate_factor,
    require_finite_loss,
    scale_loss,
    training_numerics,
)
from fastlstm.nn.optimizer import Adam
from fastlstm.nn.parallel import process_group
from fastlstm.text import batches
from fastlstm.training.adversarial import perturbation, vat_loss
from fastlstm.training.events import EpochResult, StepDone
from fastlstm.training.model import TextClassifier


@dataclass
class Totals:
    """Sums over the finished steps of the current epoch. `correct` counts correct predictions."""

    texts: int = 0
    tokens: int = 0
    correct: int = 0
    loss: float = 0.0
    seconds: float = 0.0


@dataclass
class TrainingState:
    """The state of a run between two steps: finished epochs, and finished steps of the current epoch."""

    model: TextClassifier
    optimizer: Adam
    epoch: int = 0
    step: int = 0
    totals: Totals = field(default_factory=Totals)
    history: list[EpochResult] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write a checkpoint atomically; `identity` identifies the run. Raise `WriteError`.

        In a group of processes, the first one writes it.
        """
        if not process_group().is_first:
            return
        tensors = {f"adam.{name}": value for name, value in self.optimizer.state().items()}
        tensors |= {f"weights.{name}": w for name, w in self.model.named().items()}
        tensors |= {f"best.{name}": w for name, w in self.best.items()}
        tensors |= {"features.center": self.model.center, "features.deviation": self.model.deviation}
        run = {
            "epoch": self.epoch,
            "step": self.step,
            "totals": dataclasses.asdict(self.totals),
            "history": [dataclasses.asdict(result) for result in self.history],
        }
        checkpoint.write_checkpoint(path, tensors, run, identity)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint.

        Raises:
            ResumeError: No checkpoint, a damaged one, or one of a run with another identity.
        """
        with checkpoint.read_checkpoint(path, identity) as (run, tensors):
            self._assign(run, tensors)

    def _assign(self, run: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Raise `KeyError` or `ValueError` for a missing or misshapen tensor, before anything is changed."""
        started = run["epoch"] > 0 or run["step"] > 0
        kinds = ["weights", *(["adam.exp_avg", "adam.exp_avg_sq"] if started else [])]
        kinds += ["best"] if run["history"] else []
        for kind, (name, parameter) in itertools.product(kinds, self.model.named().items()):
            if (shape := tensors[f"{kind}.{name}"].shape) != parameter.shape:
                raise ValueError(f"{kind}.{name} has the shape {list(shape)}")
        center, deviation = (tensors[f"features.{name}"] for name in ("center", "deviation"))
        if center.shape != self.model.center.shape or deviation.shape != center.shape:
            raise ValueError(f"features.center has the shape {list(center.shape)}")
        self.model.standardize(center, deviation)
        self.model.assign({name: tensors[f"weights.{name}"] for name in self.model.named()})
        if started:
            adam = {name.removeprefix("adam."): tensor for name, tensor in tensors.items()}
            self.optimizer.restore(adam)
        self.best = {
            name.removeprefix("best."): tensor for name, tensor in tensors.items() if name.startswith("best.")
        }
        self.epoch, self.step = run["epoch"], run["step"]
        self.totals = Totals(**run["totals"])
        self.history = [EpochResult(**result) for result in run["history"]]


EVALUATION_BATCH = 128
EpochScores = Sequence[tuple[float, float]]
"""Validation loss (nats) and accuracy (0..1) of each epoch, from a cross-validation."""


@dataclass(frozen=True)
class LabelledIds:
    """Tokenized texts, at least one id each, and the class index [n] of each.

    `wide_logits` [n, logits] are the logits of the n-gram part, if there is one. `soft_labels` [n, classes], rows
    that sum to 1, replace the classes as targets in distillation.
    """

    texts: Sequence[TokenIds]
    classes: IndexArray
    wide_logits: FloatArray | None = None
    soft_labels: FloatArray | None = None


def make_optimizer(model: TextClassifier, config: TrainingConfig) -> Adam:
    """Return Adam over the weights of the model."""
    return Adam(model.embedding, model.named(), config.clip_norm)


def train_epochs(
    state: TrainingState,
    training: LabelledIds,
    validation: LabelledIds | EpochScores,
    config: TrainingConfig,
    unlabelled: Sequence[TokenIds] = (),
) -> Iterator[StepDone | EpochResult]:
    """Train from `state` to the end, and leave the weights of the best epoch in `state.model`.

    `validation` are texts that select the best epoch, or the scores of each epoch, which select it.
    `unlabelled` are tokenized texts for virtual adversarial training.

    Between any two events the state is consistent: it can be saved, and a run that resumes from it ends with the
    same weights, bit for bit on a CPU.

    Raises:
        TrainingError: Training diverged (non-finite loss).
    """
    lengths = batches.lengths_of(training.texts)
    class_weights = _class_weights(training.classes, state.model, config)
    precision = training_precision(
        config.precision, state.model.config.hidden_sizes, config.batch_size, state.model.output.weight.device
    )
    while state.epoch < config.epochs and not _out_of_patience(state.history, config.patience):
        generator = np.random.default_rng([config.seed, state.epoch])
        epoch_batches = batches.shuffled_batches(lengths, config.batch_size, generator)
        steps = len(epoch_batches)
        for batch in epoch_batches[state.step :]:
            started = time.perf_counter()
            rate = learning_rate(config, (state.epoch + state.step / steps) / config.epochs)
            with training_numerics(precision):
                loss, correct = _step(state, training, batch, config, rate, class_weights, unlabelled)
            totals = state.totals
            state.step += 1
            totals.texts += len(batch)
            totals.tokens += int(lengths[batch].sum())
            totals.loss += loss
            totals.correct += correct
            totals.seconds += time.perf_counter() - started
            yield StepDone(
                epoch=state.epoch + 1,
                step=state.step,
                steps=steps,
                tokens=totals.tokens,
                seconds=totals.seconds,
                loss=totals.loss / totals.texts,
                accuracy=totals.correct / totals.texts,
            )
        rate = learning_rate(config, (state.epoch + (steps - 1) / steps) / config.epochs)
        yield _finish_epoch(state, validation, config, rate, batches.padding_fraction(lengths, epoch_batches))
    state.model.assign(state.best)


def compute_logits(model: TextClassifier, texts: Sequence[TokenIds], *, mixed_precision: bool = False) -> Tensor:
    """Return the logits [n, logits] float32 on the CPU, computed without gradients in length-sorted batches.

    `mixed_precision`: use the autocast of training on a GPU instead of float32.
    """
    with autocast(model.output.weight.device) if mixed_precision else contextlib.nullcontext():
        return _compute_batches(model, texts, model, model.output.out_features)


def compute_features(model: TextClassifier, texts: Sequence[TokenIds]) -> Tensor:
    """Return the inputs [n, features] of the output layer, before standardization, as `compute_logits` does."""
    return _compute_batches(model, texts, model.features, model.output.in_features)


def _compute_batches(
    model: TextClassifier,
    texts: Sequence[TokenIds],
    compute: Callable[[batches.PackedBatch], Tensor],
    width: int,
) -> Tensor:
    was_training, group = model.training, process_group()
    model.eval()
    result = torch.zeros(len(texts), width)
    with torch.inference_mode(), training_numerics():
        for batch in group.share(list(batches.batches_by_length(batches.lengths_of(texts), EVALUATION_BATCH))):
            result[torch.from_numpy(batch)] = compute(batches.pack_batch([texts[i] for i in batch])).float().cpu()
        (result,) = group.sum([result])
    model.train(was_training)
    return result


def _step(
    state: TrainingState,
    training: LabelledIds,
    batch: IndexArray,
    config: TrainingConfig,
    rate: float,
    class_weights: Tensor | None,
    unlabelled: Sequence[TokenIds],
) -> tuple[float, int]:
    """Make one step; return the summed loss of the batch and its number of correct predictions."""
    model, group = state.model, process_group()
    seed = derive_seed(config.seed, state.epoch, state.step)
    texts = [training.texts[i] for i in batch]
    if config.word_dropout:
        texts, batch = drop_tokens(texts, batch, config.word_dropout, np.random.default_rng(seed))
    unlabelled = _sample(unlabelled, config.virtual_texts, np.random.default_rng([seed, 1]))
    own_texts, own_unlabelled = group.share(texts), group.share(unlabelled)
    packed = batches.pack_batch(own_texts) if own_texts else None
    if packed is not None and not unlabelled and group.size == 1:
        state.optimizer.catch_up(packed.distinct.ids)
    else:
        state.optimizer.catch_up(
            np.flatnonzero(np.bincount(np.concatenate([*texts, *unlabelled]))).astype(np.int32)
        )
    model.train()
    loss_sum, correct = _no_texts, _no_texts
    if packed is not None:
        loss_sum, correct = _supervised_gradients(
            model, packed, training, group.share(batch), config, seed, class_weights, len(batch)
        )
    if own_unlabelled:
        device = model.output.weight.device
        with autocast(device):
            random = torch.Generator(device).manual_seed(seed)
            divergence = vat_loss(model, batches.pack_batch(own_unlabelled), config.adversarial, random)
        torch.autograd.backward(scale_loss(divergence * (len(own_unlabelled) / len(unlabelled))))
    sums = group.start_sum_numbers(loss_sum(), correct())
    state.optimizer.step(rate)
    total, correct_count = sums()
    require_finite_loss(total, f"in step {state.step + 1} of epoch {state.epoch + 1}")
    return total, int(correct_count)


def _no_texts() -> float:
    """Return the loss of no texts."""
    return 0.0


def _supervised_gradients(
    model: TextClassifier,
    packed: batches.PackedBatch,
    training: LabelledIds,
    batch: IndexArray,
    config: TrainingConfig,
    seed: int,
    class_weights: Tensor | None,
    whole_size: int,
) -> tuple[Callable[[], float], Callable[[], float]]:
    """Compute the gradients of the losses of texts; return their summed loss and the number of correct predictions.

    The batch is this process's share of `whole_size` texts. Both results are numbers that the device still computes.
    """
    device = model.output.weight.device
    classes = to_device(training.classes[batch], device)
    targets = classes if training.soft_labels is None else to_device(training.soft_labels[batch], device)
    dropout = torch.Generator(device).manual_seed(seed) if model.config.dropout else None
    share = len(batch) / whole_size

    def mean_loss(losses: Tensor) -> Tensor:
        mean = losses.mean() if class_weights is None else (losses * class_weights[classes]).mean()
        return mean * share

    vectors = None
    with autocast(device):
        if config.adversarial:
            vectors = model.token_vectors(packed)
            vectors.retain_grad()
            logits = model.from_vectors(vectors, packed, dropout, whole_size)
        else:
            logits = model(packed, dropout, whole_size)
    losses = model.losses(logits.float(), targets)
    loss_sum, correct = AsyncScalar(losses.sum()), AsyncScalar((model.predicted(logits) == classes).sum())
    torch.autograd.backward(scale_loss(mean_loss(losses)))
    if vectors is not None:
        assert vectors.grad is not None
        adversarial = perturbation(vectors.detach(), vectors.grad, packed, config.adversarial)
        with autocast(device):
            vectors = model.token_vectors(packed) + adversarial
            perturbed = model.from_vectors(vectors, packed, dropout, whole_size)
        torch.autograd.backward(scale_loss(mean_loss(model.losses(perturbed.float(), targets))))
    return loss_sum, correct


def _sample(texts: Sequence[TokenIds], count: int, generator: np.random.Generator) -> list[TokenIds]:
    """Return `count` random texts, longest first; none if there are none."""
    if not count or not texts:
        return []
    chosen = [texts[i] for i in generator.choice(len(texts), min(count, len(texts)), replace=False)]
    return sorted(chosen, key=len, reverse=True)


def drop_tokens(
    texts: list[TokenIds],
    batch: IndexArray,
    fraction: float,
    generator: np.random.Generator,
) -> tuple[list[TokenIds], IndexArray]:
    """Drop a random fraction of the tokens of each text, keeping at least one; return the longest text first."""
    result = []
    for ids in texts:
        remaining = ids[generator.random(len(ids)) >= fraction]
        result.append(remaining if len(remaining) else ids[:1])
    order = np.argsort([-len(ids) for ids in result], kind="stable")
    return [result[i] for i in order], batch[order]


def _finish_epoch(
    state: TrainingState, validation: LabelledIds | EpochScores, config: TrainingConfig, rate: float, padding: float
) -> EpochResult:
    state.optimizer.catch_up()
    if isinstance(validation, LabelledIds):
        logits, classes = compute_logits(state.model, validation.texts), torch.from_numpy(validation.classes)
        validation_loss = float(state.model.losses(logits, classes).mean())
        validation_accuracy = float((state.model.predicted(logits) == classes).double().mean())
    else:
        validation_loss, validation_accuracy = validation[state.epoch]
    require_finite_loss(validation_loss, f"on validation after epoch {state.epoch + 1}")
    totals = state.totals
    result = EpochResult(
        epoch=state.epoch + 1,
        loss=totals.loss / totals.texts,
        accuracy=totals.correct / totals.texts,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        learning_rate=rate,
        seconds=totals.seconds,
        tokens=totals.tokens,
        padding=padding,
        best=False,
    )
    scores = [(epoch.validation_loss, epoch.validation_accuracy) for epoch in (*state.history, result)]
    if best_epoch(scores, config) == len(state.history):
        result = dataclasses.replace(result, best=True)
        state.best = {name: w.detach().clone() for name, w in state.model.named().items()}
    state.history.append(result)
    state.epoch, state.step, state.totals = state.epoch + 1, 0, Totals()
    return result


def best_epoch(scores: EpochScores, config: TrainingConfig) -> int:
    """Return the index of the first epoch with the lowest loss, or with the highest accuracy and then lowest loss."""

    def value(epoch: int) -> tuple[float, float]:
        loss, accuracy = scores[epoch]
        return accuracy if config.monitor == "accuracy" else 0.0, -loss

    return max(range(len(scores)), key=value)


def learning_rate(config: TrainingConfig, progress: float) -> float:
    """Return the learning rate after the fraction `progress` (0..1) of the steps of a run."""
    return config.learning_rate * learning_rate_factor(config.schedule, progress)


def _out_of_patience(history: Sequence[EpochResult], patience: int) -> bool:
    return len(history) > patience and not any(result.best for result in history[-patience:])


def _class_weights(indices: IndexArray, model: TextClassifier, config: TrainingConfig) -> Tensor | None:
    """Return the weights [classes], inversely proportional to class frequency; None for equal weights."""
    if config.class_weights == "none":
        return None
    counts = np.maximum(np.bincount(indices, minlength=model.classes), 1)
    values = len(indices) / (model.classes * counts)
    return torch.tensor(values, dtype=torch.float32, device=model.output.weight.device)
