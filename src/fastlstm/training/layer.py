"""The LSTM layer of training: `nn.LSTM`'s weights and gate order, one bias a gate, no padding read."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fastlstm.batches import Distinct, Packed
from fastlstm.training import kernel_lstm, pytorch_lstm
from fastlstm.training.transfer import taken


class LSTMDirection(nn.Module):
    """One LSTM layer that reads every sequence of a packed batch in one direction.

    float32 on a CPU is read by the kernel where there is one, everything else by PyTorch.

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

    def forward(self, inputs: Tensor, batch: Packed, read: Distinct | None = None) -> tuple[Tensor, Tensor]:
        """Reads a batch.

        Args:
            inputs: [N, I], the batch's rows; with `read` [M, I], the rows that it names.
            batch: how the rows belong to sequences.
            read: which row of `inputs` each of the batch's rows is. The kernel multiplies each by the input
                weights once, however often it is read.

        Returns:
            The hidden state at every step [N, H], and the one after the last step read [B, H].
        """
        if uses_kernel(inputs):
            weights = self.weight_ih, self.weight_hh, self.bias
            outputs, last, _ = kernel_lstm.lstm(
                inputs, *weights, batch.batch_sizes, read=read, reverse=self.reverse
            )
            return outputs, last
        if read is not None:
            inputs = taken(inputs, read.index)
        return pytorch_lstm.lstm(self.lstm, inputs, batch, reverse=self.reverse)


def read_layer(
    directions: Iterable[nn.Module], inputs: Tensor, batch: Packed, read: Distinct | None
) -> list[tuple[Tensor, Tensor]]:
    """What each direction of a layer gives, as `LSTMDirection` does. A GPU in training reads both at once."""
    layers = [direction for direction in directions if isinstance(direction, LSTMDirection)]
    if len(layers) == 2 and inputs.is_cuda and torch.is_autocast_enabled("cuda"):
        if read is not None:
            inputs = taken(inputs, read.index)
        return pytorch_lstm.both_directions(layers[0].lstm, layers[1].lstm, inputs, batch)
    return [layer(inputs, batch, read) for layer in layers]


def uses_kernel(inputs: Tensor) -> bool:
    """Whether the kernel reads such inputs."""
    return inputs.device.type == "cpu" and inputs.dtype == torch.float32 and kernel_lstm.kernel() is not None
