"""Tests that an error is one line which names the op, the shapes and the mend."""

from __future__ import annotations

import builtins
import re
import sys

import numpy as np
import pytest

from tests.engine.common import leaf
from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy


def zeros(*shape):
    return Tensor(np.zeros(shape))


WRONG_SHAPES = {
    "matmul: (4, 3) @ (5, 2): inner sizes 3 and 5 differ": lambda: zeros(4, 3) @ zeros(5, 2),
    "matmul: (3,) @ (2,): inner sizes 3 and 2 differ": lambda: zeros(3) @ zeros(2),
    "matmul: (2, 4, 3) @ (5, 3, 2): stacks do not broadcast: axis -1 has sizes 2 and 5": (
        lambda: zeros(2, 4, 3) @ zeros(5, 3, 2)
    ),
    "matmul: () @ (3,): a number has no product here, use *": lambda: zeros() @ zeros(3),
    "add: (2, 3) and (2, 4) do not broadcast: axis -1 has sizes 3 and 4": (
        lambda: zeros(2, 3) + zeros(2, 4)
    ),
    "multiply: (3, 1) and (2, 4) do not broadcast: axis -2 has sizes 2 and 3": (
        lambda: zeros(3, 1) * np.ones((2, 4))
    ),
    "where: (2,) and (3,) and (1,) do not broadcast: axis -1 has sizes 2 and 3": (
        lambda: F.where(zeros(2) > 0, zeros(3), zeros(1))
    ),
    "less: (2,) and (3,) do not broadcast": lambda: zeros(2) < zeros(3),
    "equal: (2,) and (3,) do not broadcast": lambda: zeros(2) == [1.0, 2.0, 3.0],
    "reshape: (2, 3) does not fit into (4, 2)": lambda: zeros(2, 3).reshape(4, 2),
    "reshape: (2, 3) does not fit into (4, -1)": lambda: zeros(2, 3).reshape(4, -1),
    "broadcast_to: (2, 3) does not broadcast to (3, 3)": (
        lambda: F.broadcast_to(zeros(2, 3), (3, 3))
    ),
    "concatenate: (2, 3) and (2, 4)": lambda: F.concatenate([zeros(2, 3), zeros(2, 4)]),
    "concatenate: needs at least one tensor": lambda: F.concatenate([]),
    "stack: (2, 3) and (2, 4)": lambda: F.stack([zeros(2, 3), zeros(2, 4)]),
    "split: axis 0 of size 5 does not divide into 2 parts": lambda: F.split(zeros(5), 2),
    "split: indices (3, 1) must ascend within 0 and 5": lambda: F.split(zeros(5), [3, 1]),
    "transpose: axes (0,) for a tensor of 2 dimensions": lambda: zeros(2, 3).transpose(0),
    "axis 2 does not exist: the tensor has 2 dimensions": lambda: zeros(2, 3).sum(2),
    "axis -3 does not exist: the tensor has 2 dimensions": lambda: F.softmax(zeros(2, 3), -3),
    "axis (0, -2) names an axis twice": lambda: zeros(2, 3).mean((0, -2)),
    "axis 0 does not exist: the tensor has 0 dimensions": lambda: F.concatenate([zeros(), zeros()]),
    "squeeze: axis 1 of shape (1, 3) is not of size 1": lambda: zeros(1, 3).squeeze(1),
    "expand_dims: axis (0, 0) names a place twice": lambda: F.expand_dims(zeros(3), (0, 0)),
    "tril: needs two dimensions, the tensor has shape (3,)": lambda: F.tril(zeros(3)),
    "pad: pad_width ((1, 1), (1, 1), (1, 1)) for a tensor of 2 dimensions": (
        lambda: F.pad(zeros(2, 3), ((1, 1),) * 3)
    ),
    "pad: pad_width -1 is negative; cut with x[a:b]": lambda: F.pad(zeros(3), -1),
    "repeat: 2 counts for axis 0 of (3,)": lambda: F.repeat(zeros(3), [1, 2], 0),
    "roll: 1 shifts for 2 axes": lambda: F.roll(zeros(2, 3), [1], (0, 1)),
    "max: no elements along axis None of shape (0,)": lambda: zeros(0).max(),
    "min: no elements along axis 1 of shape (2, 0)": lambda: zeros(2, 0).min(1),
    "softmax: no elements along axis -1 of shape (2, 0)": lambda: F.softmax(zeros(2, 0)),
    "logsumexp: no elements": lambda: F.logsumexp(zeros(0)),
    "var: 1 elements leave no degree of freedom with ddof = 1": lambda: zeros(1).var(ddof=1),
    "std: 0 elements leave no degree of freedom with ddof = 0": lambda: zeros(0).std(),
    "topk: k = 4, but axis 0 has 3 elements": lambda: F.topk(zeros(3), 4),
    "topk: k = -1, but axis 0 has 3 elements": lambda: F.topk(zeros(3), -1),
    "take_along_axis: indices (2,) must have the shape (2, 3) but for axis 1": (
        lambda: F.take_along_axis(zeros(2, 3), [0, 1], 1)
    ),
    "scatter_add: indices (2,) and source (3,) differ": (
        lambda: F.scatter_add(zeros(4), [0, 1], zeros(3), 0)
    ),
    "embedding: the weight has shape (3,), expected (V, D)": lambda: F.embedding([0], zeros(3)),
    "cross_entropy: logits (2, 3) need targets (2,) (class indices) or (2, 3)": (
        lambda: F.cross_entropy(zeros(2, 3), [0, 1, 2])
    ),
    "cross_entropy: distributions (2, 2) for logits (2, 3)": (
        lambda: F.cross_entropy(zeros(2, 3), zeros(2, 2))
    ),
    "cross_entropy: weight (2,) for 3 classes: give one each": (
        lambda: F.cross_entropy(zeros(2, 3), [0, 1], weight=[1.0, 1.0])
    ),
    "cross_entropy: logits need an axis of classes": lambda: F.cross_entropy(zeros(), 0),
    "mse_loss: input (3, 1) and target (3,) differ in shape": (
        lambda: F.mse_loss(zeros(3, 1), zeros(3))
    ),
    "backward: gradient (2,) for a tensor (3,)": lambda: leaf([1.0] * 3).backward(np.ones(2)),
    "grad: 2 grad_outputs for 1 outputs": lambda: grad([leaf(1.0)], [leaf(1.0)], [None, None]),
    "x += y: the result is float64(2, 3), x stays float64(3,)": (
        lambda: zeros(3).__iadd__(zeros(2, 3))
    ),
    "x[...] = v: x (2,), v (3,): ": lambda: zeros(2).__setitem__(..., zeros(3)),
}

WRONG_VALUES = {
    "cross_entropy: label_smoothing 1.5 is not in [0, 1]": (
        lambda: F.cross_entropy(zeros(2, 3), [0, 1], label_smoothing=1.5)
    ),
    "reduction must be 'mean', 'sum' or 'none', not 'all'": (
        lambda: F.mse_loss(zeros(2), zeros(2), reduction="all")
    ),
    "dropout: p is a probability, not 1.5": lambda: F.dropout(zeros(2), 1.5),
    "dropout: p is a probability, not -0.1": lambda: F.dropout(zeros(2), -0.1),
    "gelu: approximate must be 'none' or 'tanh', not 'fast'": lambda: F.gelu(zeros(2), "fast"),
    "clip: give low, high or both": lambda: F.clip(zeros(2)),
    "pad: mode 'edge' is not supported": lambda: F.pad(zeros(2), 1, "edge"),
    "einsum: 'ij,jk->ik' has 2 terms for 1 operands": lambda: F.einsum("ij,jk->ik", zeros(2, 2)),
    "einsum: the term 'ij' for an operand of 3 dimensions": (
        lambda: F.einsum("ij->i", zeros(2, 2, 2))
    ),
    "einsum: 'i1': the term 'i1' cannot be read": lambda: F.einsum("i1", zeros(2, 2)),
    "einsum: '...i...': the term '...i...' cannot be read": lambda: F.einsum("...i...", zeros(2)),
    "einsum: 'ij->ik': the output must name letters of the input": (
        lambda: F.einsum("ij->ik", zeros(2, 2))
    ),
    "einsum: 'ij->ii': the output must name letters of the input, once": (
        lambda: F.einsum("ij->ii", zeros(2, 2))
    ),
    "einsum: ij: (2, 3), jk: (4, 5)": lambda: F.einsum("ij,jk->ik", zeros(2, 3), zeros(4, 5)),
    "unknown device 'gpu': use 'cpu', 'cuda' or 'cuda:<number>'": (
        lambda: Tensor([1.0], device="gpu")
    ),
    "unknown device 'cuda:x'": lambda: Tensor([1.0]).to("cuda:x"),
    "unknown device 'cpu:0'": lambda: Tensor([1.0]).to("cpu:0"),
    "a tensor needs nested lists of equal lengths": lambda: Tensor([[1.0], [1.0, 2.0]]),
}

WRONG_PLACES = {
    "getitem: index out of range for shape (2,)": lambda: zeros(2)[2],
    "getitem: index out of range for shape (2, 3)": lambda: zeros(2, 3)[0, 0, 0],
    "getitem: an index is integers or booleans, not float64": lambda: zeros(2)[[0.5]],
    "getitem: an index is integers or booleans, not float": lambda: zeros(2)[1.5],
    "getitem: an index is integers or booleans, not ": lambda: zeros(2)["a"],
    "x[...] = v: x (2,), v (): ": lambda: zeros(2).__setitem__(5, 1.0),
    "embedding: id 3 is outside 0 … 2": lambda: F.embedding([0, 3], zeros(3, 2)),
    "embedding: id -1 is outside 0 … 2": lambda: F.embedding([0, -1], zeros(3, 2)),
    "take_along_axis: index -1 is outside 0 … 2": lambda: F.take_along_axis(zeros(3), [-1], 0),
    "cross_entropy: class 3 is outside 0 … 2": lambda: F.cross_entropy(zeros(2, 3), [0, 3]),
    "cross_entropy: class -1 is outside 0 … 2": lambda: F.cross_entropy(zeros(2, 3), [0, -1]),
}

WRONG_TYPES = {
    "a tensor holds numbers; str gives dtype": lambda: Tensor("abc"),
    "a tensor holds numbers; list gives dtype complex128": lambda: Tensor([1j]),
    "a tensor holds numbers; NoneType gives dtype object": lambda: Tensor(None),
    "a tensor holds numbers; ndarray gives dtype object": lambda: Tensor(np.array([object()])),
    "a tensor holds numbers; ndarray gives dtype datetime64": (
        lambda: Tensor(np.array(["2020-01-01"], dtype="datetime64[D]"))
    ),
    "a tensor holds numbers; dict gives dtype object": lambda: Tensor({}),
    "a tensor holds numbers; list gives dtype complex64": lambda: Tensor([1.0], dtype="complex64"),
    "a list of tensors would lose their tapes: use stack() or concatenate()": (
        lambda: Tensor([leaf(1.0), leaf(2.0)])
    ),
    "a tensor of dtype int64 can have no gradient: use .astype('float32') first": (
        lambda: Tensor([1, 2], requires_grad=True)
    ),
    "a tensor of dtype bool can have no gradient": lambda: Tensor(True, requires_grad=True),
    "astype: a tensor holds numbers, not complex128": lambda: zeros(2).astype(complex),
    "embedding: ids are float32; token ids are integers": lambda: F.embedding([0.5], zeros(3, 2)),
    "take_along_axis: indices are float64, expected integers": (
        lambda: F.take_along_axis(zeros(3), zeros(1), 0)
    ),
    "where: the condition is float64; compare first, as in x > 0": (
        lambda: F.where(zeros(2), zeros(2), zeros(2))
    ),
    "add: float32 and float64 do not mix: convert one of them with .astype": (
        lambda: Tensor([1.0]) + zeros(1)
    ),
    "a 0-d tensor has no length": lambda: len(zeros()),
}

MISUSE = {
    "backward of a tensor of shape (2,) needs a gradient of that shape; for a loss, take the sum": (
        lambda: (leaf([1.0, 2.0]) * 2.0).backward()
    ),
    "backward: this tensor was computed from nothing that requires a gradient": (
        lambda: zeros(2).sum().backward()
    ),
    "grad: this tensor was computed from nothing": lambda: grad(zeros(), leaf(1.0)),
    "grad: input 0 requires no gradient": lambda: grad(leaf(1.0), zeros()),
    "grad: the outputs do not depend on input 0": lambda: grad(leaf(1.0), leaf(1.0)),
    "requires_grad of a computed tensor is fixed: detach() it instead": (
        lambda: setattr(leaf(1.0) * 2.0, "requires_grad", True)
    ),
}

CASES = [
    pytest.param(kind, message, call, id=message)
    for kind, cases in [
        (ValueError, WRONG_SHAPES),
        (ValueError, WRONG_VALUES),
        (IndexError, WRONG_PLACES),
        (TypeError, WRONG_TYPES),
        (RuntimeError, MISUSE),
    ]
    for message, call in cases.items()
]


@pytest.mark.parametrize(("kind", "message", "call"), CASES)
def test_an_error_is_one_line_that_names_what_is_wrong(kind, message, call):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_errors_are_the_same_for_tensors_on_the_tape():
    with pytest.raises(ValueError, match=re.escape("matmul: (4, 3) @ (5, 2): inner sizes")):
        leaf(np.zeros((4, 3))) @ leaf(np.zeros((5, 2)))


def test_a_failed_op_leaves_nothing_on_the_tape():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="add"):
        x + np.ones(3)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_cuda_without_cupy_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "cupy":
            raise ImportError(f"No module named {name!r}")
        return original(name, *args, **kwargs)

    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(builtins, "__import__", without)
    message = r"device 'cuda' needs CuPy: .*pip install .*or use device 'cpu'"
    for call in (lambda: Tensor([1.0], device="cuda"), lambda: Tensor([1.0]).to("cuda:1")):
        with pytest.raises(RuntimeError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there():
    with strict_cupy.installed(), pytest.raises(RuntimeError, match="there is no device 'cuda:99'"):
        Tensor([1.0], device="cuda:99")


MIXED = {
    "matmul": lambda cpu, gpu: cpu @ gpu,
    "add": lambda cpu, gpu: gpu + cpu,
    "where": lambda cpu, gpu: F.where(cpu > 0, gpu, 0.0),
    "concatenate": lambda cpu, gpu: F.concatenate([cpu, gpu]),
    "less": lambda cpu, gpu: cpu < gpu,
    "equal": lambda cpu, gpu: gpu == cpu,
    "backward": lambda cpu, gpu: (gpu * 2.0).backward(cpu),
}


@pytest.mark.parametrize("op", MIXED)
def test_tensors_on_different_devices_are_not_mixed_in_silence(op):
    with strict_cupy.installed():
        cpu = leaf(np.ones((2, 2)))
        gpu = Tensor(np.ones((2, 2)), requires_grad=True, device="cuda")
        message = rf"{op}: tensors on (cpu|cuda:0) and .*: bring them together with \.to\(device\)"
        with pytest.raises(ValueError, match=message):
            MIXED[op](cpu, gpu)
