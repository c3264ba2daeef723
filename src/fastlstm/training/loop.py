"""The training loop: a generator of steps and epochs, which the caller prints, plots, saves or stops."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm import batches
from fastlstm.config import TrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.training.adam import Adam
from fastlstm.training.adversarial import disturbance, virtual_loss
from fastlstm.training.arithmetic import arithmetic, autocast, decayed, scaled, seed_of
from fastlstm.training.history import EpochResult
from fastlstm.training.model import TextClassifier
from fastlstm.training.state import Totals, TrainingState
from fastlstm.training.transfer import Coming, sent

EVALUATION_BATCH = 128


@dataclass(frozen=True)
class Labelled:
    """Encoded texts (int32 ids, at least one each) and the index of each one's class [n] int64.

    `evidence` [n, logits] is what the wide part says of them, where there is one. `shares` [n, classes] float32,
    rows that sum to 1, is what training learns in place of the classes, where a teacher says how likely each is.
    """

    texts: Sequence[npt.NDArray[np.int32]]
    truth: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.float32] | None = None
    shares: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class StepDone:
    """A step of training is over: the running epoch, its steps done and to do, its tokens and loss so far."""

    epoch: int
    step: int
    steps: int
    tokens: int
    seconds: float
    loss: float
    accuracy: float


def make_optimizer(model: TextClassifier, config: TrainingConfig) -> Adam:
    """Adam over the learned weights."""
    return Adam(model.embedding, model.named(), config.clip_norm)


def train_epochs(
    state: TrainingState,
    training: Labelled,
    validation: Labelled,
    config: TrainingConfig,
    unlabelled: Sequence[npt.NDArray[np.int32]] = (),
) -> Iterator[StepDone | EpochResult]:
    """Trains from where `state` is to the end, and leaves the best epoch's weights in `state.model`.

    `unlabelled` are encoded texts for virtual adversarial training.

    Between any two results `state` is whole: it can be saved, and a run that goes on from it ends with the
    same weights, bit for bit on a CPU.

    Raises `TrainingError` if the loss is no number any more.
    """
    lengths = batches.lengths_of(training.texts)
    class_weights = _class_weights(training.truth, state.model, config)
    while state.epoch < config.epochs and not _out_of_patience(state.history, config.patience):
        generator = np.random.default_rng([config.seed, state.epoch])
        epoch_batches = batches.shuffled(lengths, config.batch_size, generator)
        steps = len(epoch_batches)
        for batch in epoch_batches[state.step :]:
            started = time.perf_counter()
            rate = learning_rate(config, (state.epoch + state.step / steps) / config.epochs)
            with arithmetic(config.precision):
                loss, right = _step(state, training, batch, config, rate, class_weights, unlabelled)
            totals = state.totals
            state.step += 1
            totals.texts += len(batch)
            totals.tokens += int(lengths[batch].sum())
            totals.loss += loss
            totals.right += right
            totals.seconds += time.perf_counter() - started
            yield StepDone(
                epoch=state.epoch + 1,
                step=state.step,
                steps=steps,
                tokens=totals.tokens,
                seconds=totals.seconds,
                loss=totals.loss / totals.texts,
                accuracy=totals.right / totals.texts,
            )
        rate = learning_rate(config, (state.epoch + (steps - 1) / steps) / config.epochs)
        yield _finish_epoch(state, validation, config, rate, batches.padding(lengths, epoch_batches))
    state.model.assign(state.best)


def logits_of(model: TextClassifier, texts: Sequence[npt.NDArray[np.int32]], *, narrow: bool = False) -> Tensor:
    """[n, logits] float32 on the CPU, computed in float32 without gradients, in batches of like length.

    `narrow`: as training computes on a GPU.
    """
    with autocast(model.output.weight.device) if narrow else contextlib.nullcontext():
        return _of_all(model, texts, model, model.output.out_features)


def features_of(model: TextClassifier, texts: Sequence[npt.NDArray[np.int32]]) -> Tensor:
    """[n, features] likewise: what the output layer reads, before it is standardised."""
    return _of_all(model, texts, model.features, model.output.in_features)


def _of_all(
    model: TextClassifier,
    texts: Sequence[npt.NDArray[np.int32]],
    compute: Callable[[batches.Packed], Tensor],
    width: int,
) -> Tensor:
    was_training = model.training
    model.eval()
    result = torch.empty(len(texts), width)
    with torch.inference_mode(), arithmetic():
        for batch in batches.by_length(batches.lengths_of(texts), EVALUATION_BATCH):
            result[torch.from_numpy(batch)] = compute(batches.packed([texts[i] for i in batch])).float().cpu()
    model.train(was_training)
    return result


def _step(
    state: TrainingState,
    training: Labelled,
    batch: npt.NDArray[np.int64],
    config: TrainingConfig,
    rate: float,
    class_weights: Tensor | None,
    unlabelled: Sequence[npt.NDArray[np.int32]],
) -> tuple[float, int]:
    """One step of Adam; returns the batch's summed loss and the number of texts it had right before."""
    model, device = state.model, state.model.output.weight.device
    seed = seed_of(config.seed, state.epoch, state.step)
    dropout = torch.Generator(device).manual_seed(seed) if model.config.dropout else None
    texts = [training.texts[i] for i in batch]
    if config.word_dropout:
        texts, batch = _thinned(texts, batch, config.word_dropout, np.random.default_rng(seed))
    packed = batches.packed(texts)
    further = _some(unlabelled, config.virtual_texts, np.random.default_rng([seed, 1]))
    truth = sent(training.truth[batch], device)
    learned = truth if training.shares is None else sent(training.shares[batch], device)
    read = packed.distinct.ids if further is None else np.union1d(packed.distinct.ids, further.distinct.ids)
    state.optimizer.catch_up(read)
    model.train()

    def mean_loss(losses: Tensor) -> Tensor:
        return losses.mean() if class_weights is None else (losses * class_weights[truth]).mean()

    vectors = None
    with autocast(device):
        if config.adversarial:
            vectors = model.embedded(packed)
            vectors.retain_grad()
            logits = model.read(vectors, packed, dropout)
        else:
            logits = model(packed, dropout)
    losses = model.losses(logits.float(), learned)
    coming = Coming(losses.sum()), Coming((model.predicted(logits) == truth).sum())
    torch.autograd.backward(scaled(mean_loss(losses)))
    if vectors is not None:
        assert vectors.grad is not None
        against = disturbance(vectors.detach(), vectors.grad, packed, config.adversarial)
        with autocast(device):
            disturbed = model.read(model.embedded(packed) + against, packed, dropout)
        torch.autograd.backward(scaled(mean_loss(model.losses(disturbed.float(), learned))))
    if further is not None:
        random = torch.Generator(device).manual_seed(seed)
        with autocast(device):
            swayed = virtual_loss(model, further, config.adversarial, random)
        torch.autograd.backward(scaled(swayed))
    total, right = (of() for of in coming)
    _check_finite(total, f"in step {state.step + 1} of epoch {state.epoch + 1}")
    state.optimizer.step(rate)
    return total, int(right)


def _some(
    texts: Sequence[npt.NDArray[np.int32]], count: int, generator: np.random.Generator
) -> batches.Packed | None:
    """A random `count` of the texts, packed; None for none."""
    if not count or not texts:
        return None
    chosen = [texts[i] for i in generator.choice(len(texts), min(count, len(texts)), replace=False)]
    return batches.packed(sorted(chosen, key=len, reverse=True))


def _thinned(
    texts: list[npt.NDArray[np.int32]],
    batch: npt.NDArray[np.int64],
    share: float,
    generator: np.random.Generator,
) -> tuple[list[npt.NDArray[np.int32]], npt.NDArray[np.int64]]:
    """The texts without a random share of their tokens, at least one left in each; longest first again."""
    left = []
    for ids in texts:
        kept = ids[generator.random(len(ids)) >= share]
        left.append(kept if len(kept) else ids[:1])
    order = np.argsort([-len(ids) for ids in left], kind="stable")
    return [left[i] for i in order], batch[order]


def _finish_epoch(
    state: TrainingState, validation: Labelled, config: TrainingConfig, rate: float, padding: float
) -> EpochResult:
    state.optimizer.catch_up()
    logits, truth = logits_of(state.model, validation.texts), torch.from_numpy(validation.truth)
    validation_loss = float(state.model.losses(logits, truth).mean())
    _check_finite(validation_loss, f"on validation after epoch {state.epoch + 1}")
    totals = state.totals
    result = EpochResult(
        epoch=state.epoch + 1,
        loss=totals.loss / totals.texts,
        accuracy=totals.right / totals.texts,
        validation_loss=validation_loss,
        validation_accuracy=float((state.model.predicted(logits) == truth).double().mean()),
        learning_rate=rate,
        seconds=totals.seconds,
        tokens=totals.tokens,
        padding=padding,
        best=False,
    )
    if not state.history or score(result, config) > max(score(r, config) for r in state.history):
        result = dataclasses.replace(result, best=True)
        state.best = {name: w.detach().clone() for name, w in state.model.named().items()}
    state.history.append(result)
    state.epoch, state.step, state.totals = state.epoch + 1, 0, Totals()
    return result


def _check_finite(loss: float, where: str) -> None:
    if not math.isfinite(loss):
        raise TrainingError(f"the loss is {loss} {where}; pass a lower --learning-rate or --clip-norm 1")


def score(result: EpochResult, config: TrainingConfig) -> tuple[float, float]:
    """What makes an epoch better than another: the higher, the better; of equal accuracies, the lower loss."""
    accuracy = result.validation_accuracy if config.monitor == "accuracy" else 0.0
    return accuracy, -result.validation_loss


def learning_rate(config: TrainingConfig, progress: float) -> float:
    """The rate when a share `progress` (0..1) of the run's steps is done."""
    return config.learning_rate * decayed(config.schedule, progress)


def _out_of_patience(history: Sequence[EpochResult], patience: int) -> bool:
    return len(history) > patience and not any(result.best for result in history[-patience:])


def _class_weights(truth: npt.NDArray[np.int64], model: TextClassifier, config: TrainingConfig) -> Tensor | None:
    """[classes] texts / (classes * texts of the class), so that every class counts alike."""
    if config.class_weights == "none":
        return None
    counts = np.maximum(np.bincount(truth, minlength=model.classes), 1)
    values = len(truth) / (model.classes * counts)
    return torch.tensor(values, dtype=torch.float32, device=model.output.weight.device)
