"""Inference of the tutorial model in PyTorch: the same weights, padded batches, the state at each text's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from fastlstm._typing import FloatArray, TokenIds
from opponents.bucketed_pytorch import Tutorial


class Opponent:
    """Scores token ids with the weights of a saved tutorial model."""

    def __init__(self, weights: Mapping[str, FloatArray], threads: int) -> None:
        self.threads = threads
        self.model = Tutorial(len(weights["embedding.weight"])).eval()
        source_names = {"embedding.weight": "embedding.weight"}
        for layer, name in enumerate(("first", "second")):
            source_names |= {
                f"{name}.weight_ih_l0": f"lstm.{layer}.forward.weight_ih",
                f"{name}.weight_hh_l0": f"lstm.{layer}.forward.weight_hh",
                f"{name}.bias_ih_l0": f"lstm.{layer}.forward.bias",
            }
        source_names |= {"output.weight": "output.weight", "output.bias": "output.bias"}
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in source_names:
                    parameter.copy_(torch.from_numpy(weights[source_names[name]]))
                else:
                    parameter.zero_()

    def score(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the probabilities of the second class, [B, 1]."""
        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)
        with torch.inference_mode():
            ids = pad_sequence([torch.from_numpy(text) for text in texts])
            lengths = torch.tensor([len(text) for text in texts])
            result: FloatArray = self.model(ids, lengths).sigmoid()[:, None].numpy()
        return result
