"""The compiled kernel through ctypes, which releases the global interpreter lock. csrc/lstm.h defines its functions.

Dimensions: T steps, B sequences, N rows (the steps of all sequences), M rows of `projected`, I input size, H hidden
units, P is H rounded up to whole vectors.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.kernel.abi import (
    PRECISIONS,
    AdamArguments,
    BackwardArguments,
    ForwardArguments,
    InferenceArguments,
)
from fastlstm.kernel.arguments import check_array, check_batch_sizes, check_rows, check_status, pointer
from fastlstm.kernel.memory import empty_aligned
from fastlstm.kernel.ngrams import NGramKind, NGramTable
from fastlstm.kernel.output import OutputLayer
from fastlstm.kernel.stack import PackedWeights, Stack
from fastlstm.kernel.stream import LSTMReader


@dataclass
class SavedActivations:
    """Activations of a forward pass that its backward pass needs.

    Attributes:
        gates: [N, 4, P]: sigmoid(i), sigmoid(f), tanh(g), sigmoid(o).
        cells: [N, P]: c after each step. In the NumPy reference P is H.
    """

    gates: npt.NDArray[np.floating]
    cells: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Gradients:
    """Gradients of a forward pass, float32; None if not requested.

    Shapes: `inputs` [N, I], `weight_ih` [4H, I], `weight_hh` [4H, H], `bias` [4H], `h0` and `c0` [B, H].
    """

    inputs: FloatArray | None
    weight_ih: FloatArray | None
    weight_hh: FloatArray | None
    bias: FloatArray | None
    h0: FloatArray | None
    c0: FloatArray | None


class Kernel:
    """The kernels of one instruction set of a library.

    Attributes:
        isa: "v2", "v3", "v4" or "neon".
    """

    def __init__(
        self,
        library: SimpleNamespace,
        isa: str | None = None,
        allocate: Callable[..., FloatArray] = empty_aligned,
    ) -> None:
        """Open an instruction set.

        Args:
            library: From `abi.load_library`.
            isa: An instruction set; None: the best one that the processor supports.
            allocate: Allocates the arrays that calls return: `empty_aligned` or `BufferPool.take`.

        Raises:
            ValueError: The processor does not support the instruction set.
        """
        self._library = library
        self._allocate = allocate
        self._isa = self._library.open(isa.encode() if isa else None)
        if not self._isa:
            wanted = f"the instruction set {isa}" if isa else "any instruction set of the kernel"
            raise ValueError(f"this processor does not support {wanted}")
        self.isa: str = self._library.isa_name(self._isa).decode()
        self._lanes = int(self._library.lanes(self._isa))

    def with_allocator(self, allocate: Callable[..., FloatArray]) -> Kernel:
        """Return the same kernel with another allocator of the arrays that calls return."""
        return Kernel(self._library, self.isa, allocate)

    @property
    def threads(self) -> int:
        """Maximum number of threads of a call. All kernels of a library share it."""
        return int(self._library.threads())

    @threads.setter
    def threads(self, threads: int) -> None:
        self._library.set_threads(threads)

    def padded_units(self, H: int) -> int:
        """Return P: H rounded up to whole vectors."""
        return -(-H // self._lanes) * self._lanes

    def supports(self, precision: str) -> bool:
        """Return whether the processor has instructions for one of `PRECISIONS`."""
        return bool(self._library.supports(self._isa, PRECISIONS.index(precision)))

    def pack(
        self,
        weight_ih: FloatArray | None,
        weight_hh: FloatArray,
        bias: FloatArray,
        precision: str = "float32",
    ) -> PackedWeights:
        """Pack weights [4H, I] and [4H, H] and bias [4H] of nn.LSTM's layout, float32, for passes in `precision`.

        Raises:
            ValueError: The processor does not support the precision.
        """
        H = weight_hh.shape[-1]
        I = 0 if weight_ih is None else weight_ih.shape[-1]  # noqa: E741
        check_array("weight_ih", weight_ih, (4 * H, I))
        check_array("weight_hh", weight_hh, (4 * H, H))
        check_array("bias", bias, (4 * H,))
        p = PRECISIONS.index(precision)
        values = self._allocate(int(self._library.packed_size(self._isa, p, I, H)))
        check_status(
            self._library.pack(
                self._isa, p, I, H, pointer(weight_ih), pointer(weight_hh), pointer(bias), pointer(values)
            )
        )
        return PackedWeights(values, I, H, self.padded_units(H), precision)

    def project(self, packed: PackedWeights, inputs: FloatArray) -> FloatArray:
        """Return W_ih x + b of each row of `inputs` [M, I], in float32, as [M, 4P] in the order of `unpack_gates`."""
        if packed.precision != "float32":
            raise ValueError(f"the weights are packed in {packed.precision}; expected float32")
        check_array("inputs", inputs, (len(inputs), packed.I))
        projected = self._allocate(len(inputs), 4 * self.padded_units(packed.H))
        check_status(
            self._library.project(
                self._isa,
                len(inputs),
                packed.I,
                packed.H,
                pointer(packed.values),
                pointer(inputs),
                pointer(projected),
            )
        )
        return projected

    def unpack_gates(self, projected: FloatArray, H: int) -> FloatArray:
        """Return rows of `project`, or linear combinations of them, [M, 4P], as [M, 4H] in the order of the weights."""
        vectors = projected.reshape(len(projected), -1, 4, self._lanes).transpose(0, 2, 1, 3)
        gates = vectors.reshape(len(projected), 4, -1)[:, :, :H]
        halved = np.array([2, 2, 1, 2], np.float32)[:, None]
        unpacked: FloatArray = (gates * halved).reshape(len(projected), 4 * H)
        return unpacked

    def forward(
        self,
        packed: PackedWeights,
        batch_sizes: IndexArray,
        *,
        inputs: FloatArray | None = None,
        projected: FloatArray | None = None,
        index: TokenIds | None = None,
        h0: FloatArray | None = None,
        c0: FloatArray | None = None,
        reverse: bool = False,
        outputs: FloatArray | None = None,
        activations: SavedActivations | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Run one layer in one direction over a packed batch. See `fastlstm.kernel.reference.forward`.

        The rows are `inputs`, or those of `projected` that `index` selects.

        Args:
            packed: From `pack`.
            batch_sizes: [T] int64, sequences of each step.
            inputs: [N, I] float32.
            projected: [M, 4P], from `project`.
            index: [N] int32, the row of `projected` that each row reads.
            h0, c0: [B, H] float32; zeros if None.
            reverse: Read each sequence from its last step to its first.
            outputs: [N, H] float32 with contiguous rows, to write to; allocated if None.
            activations: From `allocate_activations`; filled if given.

        Returns:
            The outputs [N, H], and the final states h and c [B, H].

        Raises:
            ValueError: An array has another shape or dtype, or an index is out of range.
        """
        B, N = check_batch_sizes(batch_sizes)
        H, P = packed.H, self.padded_units(packed.H)
        precision = PRECISIONS.index(packed.precision)
        packed_size = self._library.packed_size(self._isa, precision, packed.I, H)
        check_array("packed weights", packed.values, (packed_size,))
        check_array("inputs", inputs, (N, packed.I))
        check_array("index", index, (N,), np.int32)
        check_array("h0", h0, (B, H))
        check_array("c0", c0, (B, H))
        if projected is not None:
            check_array("projected", projected, (len(projected), 4 * P))
        if activations is not None:
            check_array("gates", activations.gates, (N, 4, P), writeable=True)
            check_array("cells", activations.cells, (N, P), writeable=True)
        if outputs is None:
            outputs = self._allocate(N, H)
        h_n, c_n = np.empty((2, B, H), np.float32)
        arguments = ForwardArguments(
            precision=precision, T=len(batch_sizes), B=B, I=packed.I, H=H, reverse=reverse,
            batch_sizes=pointer(batch_sizes), packed=pointer(packed.values),
            inputs=pointer(inputs), projected=pointer(projected), index=pointer(index),
            M=0 if projected is None else len(projected),
            h0=pointer(h0), c0=pointer(c0),
            outputs=pointer(outputs), output_stride=check_rows("outputs", outputs, (N, H), writeable=True),
            h_n=pointer(h_n), c_n=pointer(c_n),
            gates=None if activations is None else pointer(activations.gates),
            cells=None if activations is None else pointer(activations.cells),
        )  # fmt: skip
        check_status(self._library.forward(self._isa, ctypes.byref(arguments)))
        return outputs, h_n, c_n

    def infer(
        self,
        stack: Stack,
        starts: IndexArray,
        index: TokenIds,
        *,
        states: FloatArray | None = None,
        steps_read: IndexArray | None = None,
    ) -> FloatArray:
        """Return the features [texts, F] of whole texts, in any order.

        With `states` and `steps_read` the texts are read in pieces, and the features are those of all steps so far.

        Args:
            stack: The layers.
            starts: [texts + 1] int64, where each text starts in `index`, and the end of the last.
            index: int32, the row of the stack's `projected` that each step reads.
            states: [texts, `stack.state_size`] float32, updated in place. Ignored if `steps_read` is 0.
            steps_read: [texts] int64, steps read before, updated in place.

        Raises:
            ValueError: See `forward`.
        """
        texts = len(starts) - 1
        check_array("starts", starts, (max(starts.size, 1),), np.int64)
        check_array("index", index, (int(starts[-1]),), np.int32)
        check_array("states", states, (texts, stack.state_size), writeable=True)
        check_array("steps_read", steps_read, (texts,), np.int64, writeable=True)
        features = np.empty((texts, stack.feature_size), np.float32)
        arguments = InferenceArguments.from_buffer_copy(stack.arguments)
        arguments.texts = texts
        arguments.starts, arguments.index, arguments.features = pointer(starts), pointer(index), pointer(features)
        arguments.states, arguments.steps_read = pointer(states), pointer(steps_read)
        check_status(self._library.infer(self._isa, ctypes.byref(arguments)))
        return features

    def ngram_table(self, ids: TokenIds, weight: FloatArray, kinds: Sequence[NGramKind]) -> NGramTable:
        """Prepare a linear model of n-grams.

        Args:
            ids: [K] int32, increasing, the n-grams that have weights.
            weight: [K, C] float32.
            kinds: The kinds of n-grams, at least one.

        Raises:
            ValueError: See `forward`.
        """
        return NGramTable(self._library, self._isa, ids, weight, kinds)

    def start_text(self, stack: Stack) -> LSTMReader:
        """Return an empty text, to be read in pieces by a stack of one direction."""
        return LSTMReader(self._library, self._isa, stack)

    def output_layer(
        self, weight: FloatArray, bias: FloatArray, temperature: float, activation: str
    ) -> OutputLayer:
        """Prepare an output layer. Its results are the same for all instruction sets.

        Args:
            weight: [C, F] float32.
            bias: [C] float32.
            temperature: What the logits are divided by.
            activation: One of `abi.ACTIVATIONS`.

        Raises:
            ValueError: See `forward`.
        """
        return OutputLayer(self._library, weight, bias, temperature, activation)

    def backward(
        self,
        batch_sizes: IndexArray,
        weight_hh: FloatArray,
        outputs: FloatArray,
        activations: SavedActivations,
        *,
        inputs: FloatArray | None = None,
        weight_ih: FloatArray | None = None,
        h0: FloatArray | None = None,
        c0: FloatArray | None = None,
        reverse: bool = False,
        grad_outputs: FloatArray | None = None,
        grad_h_n: FloatArray | None = None,
        grad_c_n: FloatArray | None = None,
        want_inputs: bool = True,
        want_weights: bool = True,
        want_states: bool = False,
        precision: str = "float32",
    ) -> Gradients:
        """Return the gradients of a forward pass.

        Args:
            batch_sizes, weight_hh, outputs, h0, c0, reverse: Those of the forward pass.
            activations: Those of the forward pass. If it read projected rows, the gates are replaced by the
                gradients with respect to W_ih x + W_hh h + b of each row.
            inputs: [N, I] of the forward pass; None if it read projected rows.
            weight_ih: [4H, I]; needed with `inputs`.
            grad_outputs: [N, H] with contiguous rows; zeros if None.
            grad_h_n, grad_c_n: [B, H]; zeros if None.
            want_inputs: Compute the gradient of `inputs`.
            want_weights: Compute the gradients of the weights and the bias.
            want_states: Compute the gradients of h0 and c0.
            precision: Precision of the products: "float32" or "bfloat16". Usually that of the forward pass.

        Raises:
            ValueError: See `forward`.
        """
        B, N = check_batch_sizes(batch_sizes)
        H = weight_hh.shape[-1]
        I = 0 if inputs is None else inputs.shape[-1]  # noqa: E741
        check_array("weight_hh", weight_hh, (4 * H, H))
        check_array("inputs", inputs, (N, I))
        check_array("weight_ih", weight_ih, (4 * H, I))
        check_array("gates", activations.gates, (N, 4, self.padded_units(H)), writeable=True)
        check_array("cells", activations.cells, (N, self.padded_units(H)))
        for name, state in (("h0", h0), ("c0", c0), ("grad_h_n", grad_h_n), ("grad_c_n", grad_c_n)):
            check_array(name, state, (B, H))
        gradients = Gradients(
            inputs=self._allocate(N, I) if inputs is not None and want_inputs else None,
            weight_ih=self._allocate(4 * H, I) if inputs is not None and want_weights else None,
            weight_hh=self._allocate(4 * H, H) if want_weights else None,
            bias=np.empty(4 * H, np.float32) if want_weights else None,
            h0=np.empty((B, H), np.float32) if want_states else None,
            c0=np.empty((B, H), np.float32) if want_states else None,
        )
        arguments = BackwardArguments(
            precision=PRECISIONS.index(precision), T=len(batch_sizes), B=B, I=I, H=H, reverse=reverse,
            batch_sizes=pointer(batch_sizes), inputs=pointer(inputs),
            weight_ih=pointer(weight_ih), weight_hh=pointer(weight_hh), h0=pointer(h0), c0=pointer(c0),
            outputs=pointer(outputs), output_stride=check_rows("outputs", outputs, (N, H)),
            gates=pointer(activations.gates), cells=pointer(activations.cells),
            grad_outputs=pointer(grad_outputs),
            grad_output_stride=0 if grad_outputs is None else check_rows("grad_outputs", grad_outputs, (N, H)),
            grad_h_n=pointer(grad_h_n), grad_c_n=pointer(grad_c_n),
            grad_inputs=pointer(gradients.inputs), grad_weight_ih=pointer(gradients.weight_ih),
            grad_weight_hh=pointer(gradients.weight_hh), grad_bias=pointer(gradients.bias),
            grad_h0=pointer(gradients.h0), grad_c0=pointer(gradients.c0),
        )  # fmt: skip
        check_status(self._library.backward(self._isa, ctypes.byref(arguments)))
        return gradients

    def project_backward(
        self,
        gates: FloatArray,
        order: IndexArray,
        starts: IndexArray,
        inputs: FloatArray,
        weight_ih: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients of `inputs` [M, I] and `weight_ih` [4H, I] of `project`.

        Args:
            gates: [N, 4, P], those of the pass that read the projected rows, as `backward` left them.
            order: [N] int64, the rows of the batch, grouped by the projected row that they read.
            starts: [M + 1] int64, where the group of each projected row starts in `order`; the last is N.

        Raises:
            ValueError: See `forward`.
        """
        (M, I), H, N = inputs.shape, len(weight_ih) // 4, len(gates)  # noqa: E741
        check_array("gates", gates, (N, 4, self.padded_units(H)))
        check_array("order", order, (N,), np.int64)
        check_array("starts", starts, (M + 1,), np.int64)
        check_array("inputs", inputs, (M, I))
        check_array("weight_ih", weight_ih, (4 * H, I))
        grad_inputs, grad_weight_ih = self._allocate(M, I), np.empty((4 * H, I), np.float32)
        check_status(
            self._library.project_backward(
                self._isa, N, M, I, H, pointer(gates), pointer(order), pointer(starts), pointer(inputs),
                pointer(weight_ih), pointer(grad_inputs), pointer(grad_weight_ih),
            )
        )  # fmt: skip
        return grad_inputs, grad_weight_ih

    def adam(
        self,
        weight: FloatArray,
        mean: FloatArray,
        square: FloatArray,
        last_steps: IndexArray,
        rates: FloatArray,
        *,
        rows: TokenIds | None = None,
        grads: FloatArray | None = None,
        scale: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        """Update rows of `weight` by Adam's steps up to the last, including those that each row has missed.

        Args:
            weight, mean, square: [V, I] float32, updated in place.
            last_steps: [V] int64, the last step that each row has made, updated in place.
            rates: [last step + 1, 2] float32: learning rate / (1 - beta1^s) and 1 / sqrt(1 - beta2^s) of step s.
            rows: [M] int32, distinct rows to update; all if None.
            grads: [M, I] float32, gradients of the last step before scaling; zeros if None, as in missed steps.
            scale: Factor of `grads`.

        Raises:
            ValueError: See `forward`.
        """
        V, I = weight.shape  # noqa: E741
        M = V if rows is None else len(rows)
        for name, array in (("weight", weight), ("mean", mean), ("square", square)):
            check_array(name, array, (V, I), writeable=True)
        check_array("last_steps", last_steps, (V,), np.int64, writeable=True)
        check_array("rates", rates, (len(rates), 2))
        check_array("rows", rows, (M,), np.int32)
        check_array("grads", grads, (M, I))
        arguments = AdamArguments(
            V=V, I=I, M=M, rows=pointer(rows), grads=pointer(grads),
            scale=scale, beta1=betas[0], beta2=betas[1], epsilon=epsilon, step=len(rates) - 1,
            rates=pointer(rates), weight=pointer(weight), mean=pointer(mean), square=pointer(square),
            last_steps=pointer(last_steps),
        )  # fmt: skip
        check_status(self._library.adam(self._isa, ctypes.byref(arguments)))

    def allocate_activations(self, N: int, H: int) -> SavedActivations:
        """Return arrays, not initialized, for the activations of a forward pass over N rows."""
        P = self.padded_units(H)
        return SavedActivations(self._allocate(N, 4, P), self._allocate(N, P))
