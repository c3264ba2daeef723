"""The compiled kernel, by way of ctypes, which lets other Python threads run meanwhile. lstm.h is its contract.

Legend: T steps, B sequences, N rows (all sequences' steps together), I input, H hidden units, P those units padded
to whole vectors.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.kernel.abi import PRECISIONS, Adam, Backward, Forward, Texts
from fastlstm.kernel.arguments import check_array, pointer, raise_for, sizes_of, stride
from fastlstm.kernel.memory import aligned
from fastlstm.kernel.stack import PackedWeights, Stack


@dataclass
class SavedActivations:
    """Of every row, its gates after their activations and its cell.

    `gates` [N, 4, P]: sigmoid(i), sigmoid(f), tanh(g), sigmoid(o). `cells` [N, P]: c of every step.
    P is the number of units, in the compiled kernel padded to whole vectors.
    """

    gates: npt.NDArray[np.floating]
    cells: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Gradients:
    """`inputs` [N, I], `weight_ih` [4H, I], `weight_hh` [4H, H], `bias` [4H], `h0` and `c0` [B, H], all float32.

    None for those that were not wanted.
    """

    inputs: FloatArray | None
    weight_ih: FloatArray | None
    weight_hh: FloatArray | None
    bias: FloatArray | None
    h0: FloatArray | None
    c0: FloatArray | None


class Kernel:
    """The loops of one instruction set of a library."""

    def __init__(
        self,
        library: SimpleNamespace,
        isa: str | None = None,
        allocate: Callable[..., FloatArray] = aligned,
    ) -> None:
        """Opens an instruction set.

        Args:
            library: by `abi.load`.
            isa: "v2", "v3", "v4" or "neon"; the best there is if None.
            allocate: where the arrays that calls return come from, as `aligned` or `Pool.take`.

        Raises `ValueError` where this processor lacks the instruction set."""
        self._library = library
        self._allocate = allocate
        self._isa = self._library.open(isa.encode() if isa else None)
        if not self._isa:
            raise ValueError(f"this processor has not the instruction set {isa}")
        self.isa: str = self._library.isa_name(self._isa).decode()
        self._lanes = int(self._library.lanes(self._isa))

    def allocating(self, allocate: Callable[..., FloatArray]) -> Kernel:
        """The same loops, whose calls take the arrays that they return from elsewhere."""
        return Kernel(self._library, self.isa, allocate)

    @property
    def threads(self) -> int:
        """How many threads a call may use. Shared by all kernels of a library."""
        return int(self._library.threads())

    @threads.setter
    def threads(self, threads: int) -> None:
        self._library.set_threads(threads)

    def padded(self, H: int) -> int:
        """Hidden units, rounded up to whole vectors."""
        return -(-H // self._lanes) * self._lanes

    def has(self, precision: str) -> bool:
        """Whether this processor has instructions for one of `PRECISIONS`."""
        return bool(self._library.has(self._isa, PRECISIONS.index(precision)))

    def pack(
        self,
        weight_ih: FloatArray | None,
        weight_hh: FloatArray,
        bias: FloatArray,
        precision: str = "float32",
    ) -> PackedWeights:
        """Weights [4H, I], [4H, H] and bias [4H] of nn.LSTM's layout, float32, for passes in `precision`.

        Raises `ValueError` where this processor lacks it.
        """
        H = weight_hh.shape[-1]
        I = 0 if weight_ih is None else weight_ih.shape[-1]  # noqa: E741
        check_array("weight_ih", weight_ih, (4 * H, I))
        check_array("weight_hh", weight_hh, (4 * H, H))
        check_array("bias", bias, (4 * H,))
        of = PRECISIONS.index(precision)
        values = self._allocate(int(self._library.packed_size(self._isa, of, I, H)))
        raise_for(
            self._library.pack(
                self._isa, of, I, H, pointer(weight_ih), pointer(weight_hh), pointer(bias), pointer(values)
            )
        )
        return PackedWeights(values, I, H, self.padded(H), precision)

    def project(self, packed: PackedWeights, inputs: FloatArray) -> FloatArray:
        """W_ih x + b of every row of `inputs` [M, I], as [M, 4P] in an order of the kernel's own. In float32."""
        if packed.precision != "float32":
            raise ValueError(f"weights packed in {packed.precision} came; expected float32 ones")
        check_array("inputs", inputs, (len(inputs), packed.I))
        projected = self._allocate(len(inputs), 4 * self.padded(packed.H))
        raise_for(
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

    def forward(
        self,
        packed: PackedWeights,
        batch_sizes: IndexArray,
        *,
        inputs: FloatArray | None = None,
        projected: FloatArray | None = None,
        index: npt.NDArray[np.int32] | None = None,
        h0: FloatArray | None = None,
        c0: FloatArray | None = None,
        reverse: bool = False,
        outputs: FloatArray | None = None,
        kept: SavedActivations | None = None,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One direction over a packed batch. See `fastlstm.kernel.reference.forward`.

        Args:
            packed: by `pack`.
            batch_sizes: [T] int64, see there.
            inputs: [N, I] float32; or instead of it
            projected: [M, 4P], by `project`, and
            index: [N] int32, the row of `projected` that each row reads.
            h0, c0: [B, H] float32, zeros if None.
            reverse: read every sequence from its last step to its first.
            outputs: [N, H] float32 to write to, its rows contiguous; made where None.
            kept: filled where given.

        Returns:
            The outputs [N, H], and the last states h and c [B, H].

        Raises:
            ValueError: an array has another shape or type than said here, or an index lies outside.
        """
        B, N = sizes_of(batch_sizes)
        H, P = packed.H, self.padded(packed.H)
        precision = PRECISIONS.index(packed.precision)
        check_array(
            "packed weights", packed.values, (self._library.packed_size(self._isa, precision, packed.I, H),)
        )
        check_array("inputs", inputs, (N, packed.I))
        check_array("index", index, (N,), np.int32)
        check_array("h0", h0, (B, H))
        check_array("c0", c0, (B, H))
        if projected is not None:
            check_array("projected", projected, (len(projected), 4 * P))
        if kept is not None:
            check_array("gates", kept.gates, (N, 4, P), written=True)
            check_array("cells", kept.cells, (N, P), written=True)
        if outputs is None:
            outputs = self._allocate(N, H)
        last = np.empty((2, B, H), np.float32)
        arguments = Forward(
            precision, len(batch_sizes), B, packed.I, H, reverse,
            pointer(batch_sizes), pointer(packed.values), pointer(inputs), pointer(projected), pointer(index),
            0 if projected is None else len(projected),
            pointer(h0), pointer(c0), pointer(outputs), stride("outputs", outputs, (N, H), written=True),
            pointer(last[0]), pointer(last[1]),
            None if kept is None else pointer(kept.gates), None if kept is None else pointer(kept.cells),
        )  # fmt: skip
        raise_for(self._library.forward(self._isa, ctypes.byref(arguments)))
        return outputs, last[0], last[1]

    def texts(
        self,
        stack: Stack,
        starts: IndexArray,
        index: npt.NDArray[np.int32],
        *,
        states: FloatArray | None = None,
        read: IndexArray | None = None,
    ) -> FloatArray:
        """The features [texts, F] of whole texts, in any order; or of texts read in pieces, of all that was read.

        Args:
            stack: the layers, ready to read.
            starts: [texts + 1] int64, where in `index` every text begins, and where the last ends.
            index: int32, of all texts' steps, the row of the stack's `projected` that each reads.
            states: [texts, `stack.state`] float32, of texts read in pieces: what the piece before left, changed in
                place to what this one leaves. With it
            read: [texts] int64, steps read before, 0 for a text's first piece; likewise.

        Raises `ValueError`, as `forward` does.
        """
        check_array("starts", starts, (max(starts.size, 1),), np.int64)
        check_array("index", index, (int(starts[-1]),), np.int32)
        check_array("states", states, (len(starts) - 1, stack.state), written=True)
        check_array("read", read, (len(starts) - 1,), np.int64, written=True)
        features = np.empty((len(starts) - 1, stack.features), np.float32)
        arguments = Texts.from_buffer_copy(stack.arguments)
        arguments.texts = len(features)
        arguments.starts, arguments.index, arguments.features = pointer(starts), pointer(index), pointer(features)
        arguments.states, arguments.read = pointer(states), pointer(read)
        raise_for(self._library.texts(self._isa, ctypes.byref(arguments)))
        return features

    def backward(
        self,
        batch_sizes: IndexArray,
        weight_hh: FloatArray,
        outputs: FloatArray,
        kept: SavedActivations,
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
        """The gradients of a forward pass that kept `kept`.

        Args:
            batch_sizes, weight_hh, outputs, h0, c0, reverse: those of the forward pass.
            kept: what it kept. Where it read projected rows, its gates are overwritten by the gradient of every
                row's W_ih x + W_hh h + b.
            inputs: [N, I], as the forward pass read them, or None where it read projected rows.
            weight_ih: [4H, I]; with `inputs`.
            grad_outputs: [N, H], rows contiguous; grad_h_n, grad_c_n: [B, H]. Zeros if None.
            want_inputs: whether to compute the gradient of `inputs`.
            want_weights: whether to compute those of the weights and the bias.
            want_states: whether to compute those of h0 and c0.
            precision: what products are taken of: "float32" or "bfloat16"; best that of the forward pass.

        Raises `ValueError`, as `forward` does.
        """
        B, N = sizes_of(batch_sizes)
        H = weight_hh.shape[-1]
        I = 0 if inputs is None else inputs.shape[-1]  # noqa: E741
        check_array("weight_hh", weight_hh, (4 * H, H))
        check_array("inputs", inputs, (N, I))
        check_array("weight_ih", weight_ih, (4 * H, I))
        check_array("gates", kept.gates, (N, 4, self.padded(H)), written=True)
        check_array("cells", kept.cells, (N, self.padded(H)))
        for name, state in (("h0", h0), ("c0", c0), ("grad_h_n", grad_h_n), ("grad_c_n", grad_c_n)):
            check_array(name, state, (B, H))
        gradients = Gradients(
            inputs=self._allocate(N, I) if inputs is not None and want_inputs else None,
            weight_ih=np.empty((4 * H, I), np.float32) if inputs is not None and want_weights else None,
            weight_hh=np.empty((4 * H, H), np.float32) if want_weights else None,
            bias=np.empty(4 * H, np.float32) if want_weights else None,
            h0=np.empty((B, H), np.float32) if want_states else None,
            c0=np.empty((B, H), np.float32) if want_states else None,
        )
        arguments = Backward(
            PRECISIONS.index(precision), len(batch_sizes), B, I, H, reverse,
            pointer(batch_sizes), pointer(inputs), pointer(weight_ih), pointer(weight_hh), pointer(h0), pointer(c0),
            pointer(outputs), stride("outputs", outputs, (N, H)),
            pointer(kept.gates), pointer(kept.cells),
            pointer(grad_outputs), 0 if grad_outputs is None else stride("grad_outputs", grad_outputs, (N, H)),
            pointer(grad_h_n), pointer(grad_c_n),
            pointer(gradients.inputs), pointer(gradients.weight_ih), pointer(gradients.weight_hh), pointer(gradients.bias),
            pointer(gradients.h0), pointer(gradients.c0),
        )  # fmt: skip
        raise_for(self._library.backward(self._isa, ctypes.byref(arguments)))
        return gradients

    def project_backward(
        self,
        gates: FloatArray,
        order: IndexArray,
        starts: IndexArray,
        inputs: FloatArray,
        weight_ih: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """The gradients of `inputs` [M, I] and `weight_ih` [4H, I] of `project`.

        Args:
            gates: [N, 4, P], as `backward` left those of the pass that read the projected rows.
            order: [N] int64, the batch's rows, those that read row 0 first, then those that read row 1, ...
            starts: [M + 1] int64, where in `order` each row's readers begin, and N.

        Raises `ValueError`, as `forward` does.
        """
        (M, I), H, N = inputs.shape, len(weight_ih) // 4, len(gates)  # noqa: E741
        check_array("gates", gates, (N, 4, self.padded(H)))
        check_array("order", order, (N,), np.int64)
        check_array("starts", starts, (M + 1,), np.int64)
        check_array("inputs", inputs, (M, I))
        check_array("weight_ih", weight_ih, (4 * H, I))
        grad_inputs, grad_weight_ih = self._allocate(M, I), np.empty((4 * H, I), np.float32)
        raise_for(
            self._library.project_backward(
                self._isa, N, M, I, H, pointer(gates), pointer(order), pointer(starts), pointer(inputs), pointer(weight_ih),
                pointer(grad_inputs), pointer(grad_weight_ih),
            )
        )  # fmt: skip
        return grad_inputs, grad_weight_ih

    def adam(
        self,
        weight: FloatArray,
        mean: FloatArray,
        square: FloatArray,
        done: IndexArray,
        rates: FloatArray,
        *,
        rows: npt.NDArray[np.int32] | None = None,
        grads: FloatArray | None = None,
        scale: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        """Moves rows of `weight` by Adam's steps up to the last, those that each has missed included.

        Args:
            weight, mean, square: [V, I] float32, changed in place.
            done: [V] int64, the last step that each row has made; changed in place.
            rates: [last step + 1, 2] float32: learning rate / (1 - beta1^s) and 1 / sqrt(1 - beta2^s) of step s.
            rows: [M] int32, the rows to move, each once; all if None.
            grads: [M, I] float32, gradients of the last step, times `scale`; zero if None, as in missed steps.

        Raises `ValueError`, as `forward` does.
        """
        V, I = weight.shape  # noqa: E741
        M = V if rows is None else len(rows)
        for name, array in (("weight", weight), ("mean", mean), ("square", square)):
            check_array(name, array, (V, I), written=True)
        check_array("done", done, (V,), np.int64, written=True)
        check_array("rates", rates, (len(rates), 2))
        check_array("rows", rows, (M,), np.int32)
        check_array("grads", grads, (M, I))
        arguments = Adam(
            V, I, M, pointer(rows), pointer(grads), scale, *betas, epsilon, len(rates) - 1,
            pointer(rates), pointer(weight), pointer(mean), pointer(square), pointer(done),
        )  # fmt: skip
        raise_for(self._library.adam(self._isa, ctypes.byref(arguments)))

    def keep(self, N: int, H: int) -> SavedActivations:
        """Room for what a forward pass of N rows keeps."""
        P = self.padded(H)
        return SavedActivations(self._allocate(N, 4, P), self._allocate(N, P))
