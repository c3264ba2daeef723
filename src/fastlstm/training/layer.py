"""The LSTM layer of training: `nn.LSTM`'s weights and gate order, one bias a gate, no padding read."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTMDirection(nn.Module):
    """One LSTM layer that reads every sequence of a padded batch in one direction.

    The weights are those of `nn.LSTM` (gates i, f, g, o), whose second bias adds nothing that the first
    doesn't and is kept at zero. They start as Keras starts them: Glorot-uniform input weights, orthogonal
    recurrent ones, zero biases but for the forget gate's, 1 (Jozefowicz, Zaremba & Sutskever 2015).
    """

    def __init__(self, input_size: int, hidden_size: int, *, reverse: bool = False) -> None:
        super().__init__()
        self.reverse = reverse
        self.lstm = nn.LSTM(input_size, hidden_size)
        self.lstm.get_parameter("bias_hh_l0").requires_grad_(False).zero_()
        nn.init.xavier_uniform_(self.weight_ih)
        nn.init.orthogonal_(self.weight_hh)
        with torch.no_grad():
            self.bias.zero_()[hidden_size : 2 * hidden_size] = 1

    @property
    def weight_ih(self) -> nn.Parameter:
        """[4H, I]"""
        return self.lstm.get_parameter("weight_ih_l0")

    @property
    def weight_hh(self) -> nn.Parameter:
        """[4H, H]"""
        return self.lstm.get_parameter("weight_hh_l0")

    @property
    def bias(self) -> nn.Parameter:
        """[4H]"""
        return self.lstm.get_parameter("bias_ih_l0")

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Reads a batch.

        Args:
            inputs: [T, B, I], time-major, padded behind each sequence's end.
            lengths: [B] int64, steps of each sequence, at least 1, on the device of `inputs`.

        Returns:
            The hidden state at every step [T, B, H], undefined behind a sequence's end, and the one after
            the last step read [B, H].
        """
        if not self.reverse:
            outputs: Tensor = self.lstm(inputs)[0]
            return outputs, _at(outputs, lengths - 1)
        # Turned round within its own length, a sequence still ends before its padding begins.
        outputs = self.lstm(_turned(inputs, lengths))[0]
        return _turned(outputs, lengths), _at(outputs, lengths - 1)


def _at(outputs: Tensor, steps: Tensor) -> Tensor:
    """[B, H] from [T, B, H]: of each sequence, one step."""
    return outputs[steps, torch.arange(outputs.shape[1], device=outputs.device)]


def _turned(values: Tensor, lengths: Tensor) -> Tensor:
    """[T, B, F] with the first `lengths` steps of each sequence in reverse order."""
    steps = torch.arange(values.shape[0], device=values.device)[:, None]
    source = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return values.gather(0, source[:, :, None].expand_as(values))
