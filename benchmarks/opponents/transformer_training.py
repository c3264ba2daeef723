"""Fine-tuning of a transformer classifier: AdamW, linear warm-up and decay, batches of similar lengths, checkpoints.

Source: Devlin et al. (2019), BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding, NAACL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fastlstm._typing import FloatArray
from fastlstm.nn.runs import fingerprint
from opponents.padded_batches import IntArray, batches_by_length, pad
from opponents.transformer import TransformerClassifier

WARM_UP_FRACTION = 0.06
OUTPUT_RATE = 1e-3
"""Learning rate of the new output layer."""
LENGTH_NOISE = 4
"""Texts are sorted by their length plus up to this many tokens, so that batches differ between epochs."""
CHECKPOINT_SECONDS, REPORT_SECONDS = 120, 30


@dataclass(frozen=True)
class FineTuning:
    """Options of fine-tuning.

    Attributes:
        learning_rate: Highest learning rate of the encoder.
        epochs: Passes over the texts.
        batch_texts: Largest number of texts in a batch.
        batch_tokens: Largest number of padded tokens in a batch.
        weight_decay: Of the weight matrices of the encoder.
        seed: Of the order and of dropout.
        freeze_words: Word embeddings keep their values: those of a multilingual vocabulary are most of all weights, and
            few of them occur in the texts.
    """

    learning_rate: float = 6e-5
    epochs: int = 2
    batch_texts: int = 64
    batch_tokens: int = 4096
    weight_decay: float = 0.01
    seed: int = 0
    freeze_words: bool = False


def fine_tune(
    model: TransformerClassifier,
    ids: Sequence[Sequence[int]],
    labels: IntArray | FloatArray,
    options: FineTuning,
    *,
    checkpoint: Path | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train all weights on token ids, and class numbers [n] or probabilities [n, classes].

    Training resumes from the checkpoint if it exists. The order and the dropout of a step depend on seed, epoch and
    step alone, so that a resumed run gives the same result as an uninterrupted one.

    Raises:
        SystemExit: The checkpoint is of other texts, labels or options.
    """
    plan = [batch for epoch in range(options.epochs) for batch in epoch_batches(ids, options, epoch)]
    optimizer = _optimizer(model, options)
    rates = [group["lr"] for group in optimizer.param_groups]
    run = _fingerprint(ids, labels, options)
    step = _restore(checkpoint, model, optimizer, run)
    started = saved = reported = time.perf_counter()
    first = step
    mean_loss: float | None = None
    for step in range(first, len(plan)):
        batch, fraction = plan[step], step / len(plan)
        scale = min((fraction + 1 / len(plan)) / WARM_UP_FRACTION, (1 - fraction) / (1 - WARM_UP_FRACTION))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * scale
        loss = _step(model, optimizer, [ids[k] for k in batch], labels[batch], options.seed + step)
        mean_loss = loss if mean_loss is None else 0.98 * mean_loss + 0.02 * loss
        now = time.perf_counter()
        if checkpoint is not None and now - saved > CHECKPOINT_SECONDS:
            _save(checkpoint, model, optimizer, step + 1, run)
            saved = now
        if now - reported > REPORT_SECONDS:
            reported, remaining = now, (now - started) / (step + 1 - first) * (len(plan) - step - 1)
            report(f"step {step + 1:,} of {len(plan):,}, loss {mean_loss:.3f}, {remaining / 60:.0f} min left")
    model.eval()


def epoch_batches(ids: Sequence[Sequence[int]], options: FineTuning, epoch: int) -> list[IntArray]:
    """Return the batches of an epoch in random order."""
    random = np.random.default_rng((options.seed, epoch))
    order = random.permutation(len(ids))
    lengths = [len(ids[k]) + int(random.integers(LENGTH_NOISE + 1)) for k in order]
    batches = batches_by_length(lengths, options.batch_tokens, options.batch_texts)
    return [order[batches[k]] for k in random.permutation(len(batches))]


def has_amx() -> bool:
    """Return whether the processor has AMX, its instructions for products of matrices in bfloat16."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def mixed_precision() -> torch.autocast:
    """Return a context in which PyTorch multiplies in bfloat16 if the processor has AMX, and in float32 otherwise."""
    return torch.autocast("cpu", torch.bfloat16, enabled=has_amx())


def _optimizer(model: TransformerClassifier, options: FineTuning) -> torch.optim.Optimizer:
    model.encoder.embeddings.word_embeddings.weight.requires_grad_(not options.freeze_words)
    encoder = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    groups = [
        {"params": [p for p in encoder if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in encoder if p.ndim == 1], "weight_decay": 0.0},
        {"params": list(model.output.parameters()), "weight_decay": 0.0, "lr": OUTPUT_RATE},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)


def _step(
    model: TransformerClassifier,
    optimizer: torch.optim.Optimizer,
    ids: Sequence[Sequence[int]],
    labels: IntArray | FloatArray,
    seed: int,
) -> float:
    torch.manual_seed(seed)
    model.train()
    padded, mask = pad(ids)
    with mixed_precision():
        logits = model(torch.from_numpy(padded), torch.from_numpy(mask))
    loss = nn.functional.cross_entropy(logits.float(), torch.from_numpy(labels))
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _fingerprint(ids: Sequence[Sequence[int]], labels: IntArray | FloatArray, options: FineTuning) -> str:
    return f"{fingerprint([*(np.asarray(text) for text in ids), np.asarray(labels)])} {options}"


def _save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, run: str) -> None:
    temporary = path.with_name(path.name + ".part")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "run": run}
    torch.save(state, temporary)
    temporary.replace(path)


def _restore(path: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, run: str) -> int:
    """Return the number of steps that are done."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state.get("run") != run:
        raise SystemExit(f"{path} is of a run with other texts, labels or options; remove the file")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
