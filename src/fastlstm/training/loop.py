"""The training loop: a generator of steps and epochs, which the caller prints, plots, saves or stops."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.config import TrainingConfig
from fastlstm.errors import TrainingError
from fastlstm.nn import checkpoint
from fastlstm.nn.device import AsyncScalar, to_device
from fastlstm.nn.numerics import autocast, decay_parameters, derive_seed, scaled_backward, training_numerics
from fastlstm.nn.optimizer import Adam
from fastlstm.text import batches
from fastlstm.training.adversarial import perturbation, vat_loss
from fastlstm.training.events import EpochResult, StepDone
from fastlstm.training.model import TextClassifier


@dataclass
class Totals:
    """What the finished steps of the running epoch add up to."""

    texts: int = 0
    tokens: int = 0
    right: int = 0
    loss: float = 0.0
    seconds: float = 0.0


@dataclass
class TrainingState:
    """A run between two steps. `epoch` counts finished epochs, `step` finished steps of the running one."""

    model: TextClassifier
    optimizer: Adam
    epoch: int = 0
    step: int = 0
    totals: Totals = field(default_factory=Totals)
    history: list[EpochResult] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Writes the checkpoint, whole or not at all. `identity` says which run it belongs to.

        Raises `WriteError` if the file can't be written.
        """
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
        """Goes back to where the checkpoint was written.

        Raises `ResumeError` if there is none, it is damaged, or belongs to a run of another identity.
        """
        with checkpoint.read_checkpoint(path, identity) as (run, tensors):
            self._take(run, tensors)

    def _take(self, run: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Raises `KeyError` or `ValueError`, before it changes anything, for a missing or ill-shaped tensor."""
        started = run["epoch"] > 0 or run["step"] > 0
        kinds = ["weights", *(["adam.exp_avg", "adam.exp_avg_sq"] if started else [])]
        kinds += ["best"] if run["history"] else []
        for kind, (name, parameter) in itertools.product(kinds, self.model.named().items()):
            if (shape := tensors[f"{kind}.{name}"].shape) != parameter.shape:
                raise ValueError(f"{kind}.{name} has the shape {list(shape)}")
        center, deviation = (tensors[f"features.{name}"] for name in ("center", "deviation"))
        if center.shape != self.model.center.shape or deviation.shape != center.shape:
            raise ValueError(f"features.center has the shape {list(center.shape)}")
        self.model.standardise(center, deviation)
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


@dataclass(frozen=True)
class LabelledIds:
    """Encoded texts (int32 ids, at least one each) and the index of each one's class [n] int64.

    `evidence` [n, logits] is what the wide part says of them, where there is one. `shares` [n, classes] float32,
    rows that sum to 1, is what training learns in place of the classes, where a teacher says how likely each is.
    """

    texts: Sequence[npt.NDArray[np.int32]]
    truth: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.float32] | None = None
    shares: npt.NDArray[np.float32] | None = None


def make_optimizer(model: TextClassifier, config: TrainingConfig) -> Adam:
    """Adam over the learned weights."""
    return Adam(model.embedding, model.named(), config.clip_norm)


def train_epochs(
    state: TrainingState,
    training: LabelledIds,
    validation: LabelledIds,
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
        epoch_batches = batches.shuffled_batches(lengths, config.batch_size, generator)
        steps = len(epoch_batches)
        for batch in epoch_batches[state.step :]:
            started = time.perf_counter()
            rate = learning_rate(config, (state.epoch + state.step / steps) / config.epochs)
            with training_numerics(config.precision):
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
        yield _finish_epoch(state, validation, config, rate, batches.padding_fraction(lengths, epoch_batches))
    state.model.assign(state.best)


def compute_logits(
    model: TextClassifier, texts: Sequence[npt.NDArray[np.int32]], *, narrow: bool = False
) -> Tensor:
    """[n, logits] float32 on the CPU, computed in float32 without gradients, in batches of like length.

    `narrow`: as training computes on a GPU.
    """
    with autocast(model.output.weight.device) if narrow else contextlib.nullcontext():
        return _of_all(model, texts, model, model.output.out_features)


def compute_features(model: TextClassifier, texts: Sequence[npt.NDArray[np.int32]]) -> Tensor:
    """[n, features] likewise: what the output layer reads, before it is standardised."""
    return _of_all(model, texts, model.features, model.output.in_features)


def _of_all(
    model: TextClassifier,
    texts: Sequence[npt.NDArray[np.int32]],
    compute: Callable[[batches.PackedBatch], Tensor],
    width: int,
) -> Tensor:
    was_training = model.training
    model.eval()
    result = torch.empty(len(texts), width)
    with torch.inference_mode(), training_numerics():
        for batch in batches.batches_by_length(batches.lengths_of(texts), EVALUATION_BATCH):
            result[torch.from_numpy(batch)] = compute(batches.pack_batch([texts[i] for i in batch])).float().cpu()
    model.train(was_training)
    return result


def _step(
    state: TrainingState,
    training: LabelledIds,
    batch: npt.NDArray[np.int64],
    config: TrainingConfig,
    rate: float,
    class_weights: Tensor | None,
    unlabelled: Sequence[npt.NDArray[np.int32]],
) -> tuple[float, int]:
    """One step of Adam; returns the batch's summed loss and the number of texts it had right before."""
    model, device = state.model, state.model.output.weight.device
    seed = derive_seed(config.seed, state.epoch, state.step)
    dropout = torch.Generator(device).manual_seed(seed) if model.config.dropout else None
    texts = [training.texts[i] for i in batch]
    if config.word_dropout:
        texts, batch = _thinned(texts, batch, config.word_dropout, np.random.default_rng(seed))
    packed = batches.pack_batch(texts)
    further = _some(unlabelled, config.virtual_texts, np.random.default_rng([seed, 1]))
    truth = to_device(training.truth[batch], device)
    learned = truth if training.shares is None else to_device(training.shares[batch], device)
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
    coming = AsyncScalar(losses.sum()), AsyncScalar((model.predicted(logits) == truth).sum())
    torch.autograd.backward(scaled_backward(mean_loss(losses)))
    if vectors is not None:
        assert vectors.grad is not None
        against = perturbation(vectors.detach(), vectors.grad, packed, config.adversarial)
        with autocast(device):
            disturbed = model.read(model.embedded(packed) + against, packed, dropout)
        torch.autograd.backward(scaled_backward(mean_loss(model.losses(disturbed.float(), learned))))
    if further is not None:
        random = torch.Generator(device).manual_seed(seed)
        with autocast(device):
            swayed = vat_loss(model, further, config.adversarial, random)
        torch.autograd.backward(scaled_backward(swayed))
    total, right = (of() for of in coming)
    _check_finite(total, f"in step {state.step + 1} of epoch {state.epoch + 1}")
    state.optimizer.step(rate)
    return total, int(right)


def _some(
    texts: Sequence[npt.NDArray[np.int32]], count: int, generator: np.random.Generator
) -> batches.PackedBatch | None:
    """A random `count` of the texts, packed; None for none."""
    if not count or not texts:
        return None
    chosen = [texts[i] for i in generator.choice(len(texts), min(count, len(texts)), replace=False)]
    return batches.pack_batch(sorted(chosen, key=len, reverse=True))


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
    state: TrainingState, validation: LabelledIds, config: TrainingConfig, rate: float, padding: float
) -> EpochResult:
    state.optimizer.catch_up()
    logits, truth = compute_logits(state.model, validation.texts), torch.from_numpy(validation.truth)
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
    return config.learning_rate * decay_parameters(config.schedule, progress)


def _out_of_patience(history: Sequence[EpochResult], patience: int) -> bool:
    return len(history) > patience and not any(result.best for result in history[-patience:])


def _class_weights(truth: npt.NDArray[np.int64], model: TextClassifier, config: TrainingConfig) -> Tensor | None:
    """[classes] texts / (classes * texts of the class), so that every class counts alike."""
    if config.class_weights == "none":
        return None
    counts = np.maximum(np.bincount(truth, minlength=model.classes), 1)
    values = len(truth) / (model.classes * counts)
    return torch.tensor(values, dtype=torch.float32, device=model.output.weight.device)
