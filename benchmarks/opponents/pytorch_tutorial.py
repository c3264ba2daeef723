"""The tutorial model in PyTorch, for inference: the same weights, padded batches, the state at each text's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils.rnn import pad_sequence

from opponents.bucketed_pytorch import Tutorial

FloatArray = npt.NDArray[np.float32]


class Opponent:
    """Scores token ids with the weights of a saved tutorial model."""

    def __init__(self, weights: Mapping[str, FloatArray], threads: int) -> None:
        self.threads = threads
        self.model = Tutorial(len(weights["embedding.weight"])).eval()
        named = {"embedding.weight": "embedding.weight"}
        for layer, name in enumerate(("first", "second")):
            named |= {
                f"{name}.weight_ih_l0": f"lstm.{layer}.forward.weight_ih",
                f"{name}.weight_hh_l0": f"lstm.{layer}.forward.weight_hh",
                f"{name}.bias_ih_l0": f"lstm.{layer}.forward.bias",
            }
        named |= {"output.weight": "output.weight", "output.bias": "output.bias"}
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in named:
                    parameter.copy_(torch.from_numpy(weights[named[name]]))
                else:
                    parameter.zero_()

    def score(self, texts: Sequence[npt.NDArray[np.int32]]) -> FloatArray:
        """[B, 1] probabilities of the second class."""
        torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)
        with torch.inference_mode():
            ids = pad_sequence([torch.from_numpy(text) for text in texts])
            lengths = torch.tensor([len(text) for text in texts])
            result: FloatArray = self.model(ids, lengths).sigmoid()[:, None].numpy()
        return result
