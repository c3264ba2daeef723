"""What a server serves, and how much it takes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastlstm.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits are inclusive.

    Attributes:
        models: name -> folder; the first is asked where a request names none.
        precision, early_exit: as `fastlstm.load` and `Classifier.predict` take them, of all models.
        max_body_bytes: of a request.
        max_texts: of a request.
        max_characters: of a text.
        max_requests: at a time; more are told to come again.
        max_streams: conversations open at a time.
        queue_texts: texts that wait for a model, at most; more are told to come again.
        batch_texts: texts that a model reads together, at most.
        body_seconds: in which a request's body must have come.
        token: what requests must bear; None: nothing.
        log_texts: whether log lines hold texts.
        reload_seconds: how often it is looked whether a model's folder is another; 0: never.
        drain_seconds: how long requests may take to end when the server is stopped.
        workers: processes that serve; each has its models, and these limits.
    """

    models: Mapping[str, Path]
    precision: str = "float32"
    early_exit: float | None = None
    max_body_bytes: int = 1_000_000
    max_texts: int = 64
    max_characters: int = 20_000
    max_requests: int = 512
    max_streams: int = 1_000
    queue_texts: int = 256
    batch_texts: int = 128
    body_seconds: float = 10.0
    token: str | None = None
    log_texts: bool = False
    reload_seconds: float = 1.0
    drain_seconds: float = 30.0
    workers: int = 1

    def __post_init__(self) -> None:
        if not self.models:
            raise OptionError("no model to serve; expected one or more")
        for name in (
            "max_body_bytes", "max_texts", "max_characters", "max_requests", "max_streams", "queue_texts",
            "batch_texts", "workers",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise OptionError(f"{name.replace('_', '-')} is {getattr(self, name)}; expected at least 1")
        for name, least in (("body_seconds", 0.001), ("reload_seconds", 0.0), ("drain_seconds", 0.0)):
            if not least <= getattr(self, name) < float("inf"):
                raise OptionError(f"{name.replace('_', '-')} is {getattr(self, name)}; expected {least:g} or more")
        if self.max_texts > self.queue_texts:
            raise OptionError(
                f"max-texts is {self.max_texts}, and {self.queue_texts} texts may wait; raise queue-texts, or "
                "lower max-texts"
            )
        if self.token is not None and not self.token:
            raise OptionError("the token is empty; expected one or more characters, or leave it unset")
