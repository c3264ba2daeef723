"""What each epoch brought."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """One epoch: mean loss (nats) and accuracy (0..1) on training and validation texts.

    `padding` is the share of the places in its batches that held no token; `best`: no epoch before was better.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    tokens: int
    padding: float
    best: bool
