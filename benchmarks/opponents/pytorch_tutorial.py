"""The tutorial model in PyTorch: the same weights, padded or packed batches, the output at each text's last token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence, pad_sequence

from fastlstm._typing import FloatArray, TokenIds
from opponents.bucketed_pytorch import Tutorial


class Opponent:
    """Scores token ids with the weights of a saved tutorial model."""

    def __init__(self, weights: Mapping[str, FloatArray], threads: int, *, bfloat16: bool = False) -> None:
        """Copy the weights. With `bfloat16`, compute under autocast."""
        self.threads, self.bfloat16 = threads, bfloat16
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
        """Return the probabilities of the second class, [B, 1], of a padded batch."""

        def logits() -> Tensor:
            ids = pad_sequence([torch.from_numpy(text) for text in texts])
            result: Tensor = self.model(ids, torch.tensor([len(text) for text in texts]))
            return result

        return self._probabilities(logits)

    def score_packed(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the same of a packed batch, without padding."""

        def logits() -> Tensor:
            model = self.model
            packed = pack_sequence([torch.from_numpy(text) for text in texts], enforce_sorted=False)
            outputs, _ = model.first(packed._replace(data=model.embedding(packed.data)))
            _, (last, _) = model.second(outputs)
            result: Tensor = model.output(last[0])[:, 0]
            return result

        return self._probabilities(logits)

    def _probabilities(self, logits: Callable[[], Tensor]) -> FloatArray:
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        torch.set_flush_denormal(True)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            result: FloatArray = logits().float().sigmoid()[:, None].numpy()
        return result
