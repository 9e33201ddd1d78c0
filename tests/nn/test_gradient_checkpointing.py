"""Tests of gradient_checkpointing in the stacks: the same bits, for less memory."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, same_bits
from tinygrad_llm import Tensor, grad, graph, manual_seed, nn, no_grad
from tinygrad_llm.nn.summary import saved_bytes

MASK = np.array([[1, 1, 1, 0, 1], [1, 1, 1, 1, 1]])


def pair(make: Any, *sizes: int, **options: Any) -> tuple[Any, Any]:
    """Two stacks with the same weights; the second one has checkpoints."""
    plain, other = (make(*sizes, gradient_checkpointing=on, **options) for on in (False, True))
    other.load_state_dict(plain.state_dict())
    return plain, other


def run(stack: nn.Module, x: Any, *memory: Any, **how: Any) -> list[Tensor]:
    """Output, maps, states, and the gradients of inputs and parameters, with the same chance."""
    manual_seed(4)
    maps: list = []
    states: list = []
    leaves = [leaf(each, np.float32) for each in (x, *memory)]
    y = stack(*leaves, maps=maps, states=states, **how)
    wanted = [*leaves, *stack.parameters()]
    cotangents = drawn(*y.shape).astype(np.float32), drawn(*maps[1].shape).astype(np.float32)
    gradients = grad((y * cotangents[0]).sum() + (maps[1] * cotangents[1]).sum(), wanted)
    return [y, *maps, *states, *gradients]


@pytest.mark.parametrize("norm", ["post", "pre", "rezero"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_an_encoder_has_the_same_bits(norm, dropout):
    stacks = pair(nn.TransformerEncoder, 3, 8, 2, norm=norm, dropout=dropout)
    expected, found = (run(stack, drawn(2, 5, 8), mask=MASK) for stack in stacks)
    assert len(found) == len(expected) == 1 + 3 + 4 + 1 + len(list(stacks[0].parameters()))
    assert all(map(same_bits, found, expected))


def test_a_decoder_with_a_memory_has_the_same_bits():
    how = {"cross": True, "dropout": 0.2, "rotary": nn.Rotary(4), "norm": "pre"}
    stacks = pair(nn.TransformerDecoder, 2, 8, 2, **how)
    inputs, places = (drawn(2, 4, 8), drawn(2, 5, 8)), np.arange(4) + 3
    found = [run(stack, *inputs, memory_mask=MASK, positions=places) for stack in stacks]
    assert all(map(same_bits, *found))


def kept(stack: nn.Module, x: Tensor) -> tuple[int, int]:
    """Bytes that a pass leaves behind for backward: as they are counted, and as they are."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    y = stack(x)
    gc.collect()
    there = tracemalloc.get_traced_memory()[0] - before
    return saved_bytes(graph.behind([y._edge]), stack), there


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_tape_keeps_what_comes_into_each_block_and_no_more(norm):
    """Of 6 blocks over 64 × 64 × 32 numbers; without checkpoints a block keeps over ten of them."""
    stacks = pair(nn.TransformerEncoder, 6, 32, 2, norm=norm)
    x = Tensor(drawn(64, 64, 32).astype(np.float32), requires_grad=True)
    one = x.data.nbytes
    tracemalloc.start()
    try:
        (counted, held), (few, least) = (kept(stack, x) for stack in stacks)
    finally:
        tracemalloc.stop()
    assert counted > 6 * 10 * one and held > 6 * 10 * one
    last = 2 * one if norm == "pre" else 0  # the last norm stands outside: its input, and x̂
    assert 6 * one + last <= few < 6 * one + 1.1 * last + 1
    assert least < 6.5 * one + last  # x was there before, and the output is there now


def test_maps_are_given_once_and_nothing_is_computed_twice_without_a_tape():
    stack, calls = nn.TransformerEncoder(2, 8, 2, gradient_checkpointing=True), []
    stack.layers[0].register_forward_hook(lambda *_: calls.append(0))
    x, maps = leaf(drawn(2, 5, 8), np.float32), []
    y = stack(x, maps=maps)
    assert len(maps) == 2 and len(calls) == 1
    y.sum().backward()
    assert len(maps) == 2 and len(calls) == 2
    with no_grad():
        np.testing.assert_allclose(stack(x).data, y.data, rtol=1e-5, atol=1e-6)
    assert len(calls) == 3


def test_a_cache_grows_as_without():
    stacks = pair(nn.TransformerDecoder, 2, 8, 2)
    x, found = Tensor(drawn(2, 3, 8).astype(np.float32)), []
    with no_grad():
        for stack in stacks:
            cache = stack.new_cache()
            found.append([stack(x[:, t : t + 1], cache=cache) for t in range(3)])
    assert all(map(same_bits, *found))


def test_in_half_precision_backward_may_come_after_the_block():
    stacks, gradients = pair(nn.TransformerEncoder, 2, 8, 2, dropout=0.2), []
    x = Tensor(drawn(2, 5, 8).astype(np.float16))
    for stack in stacks:
        before = list(stack.parameters())
        manual_seed(1)
        with nn.in_dtype(stack, "float16"):
            y = stack(x)
        (y * drawn(*y.shape).astype(np.float16)).sum().backward()
        assert all(p is q for p, q in zip(before, stack.parameters(), strict=True))
        gradients.append([p.grad for p in before])
    assert all(map(same_bits, *gradients)) and gradients[0][0].data.any()


def test_a_weight_that_changes_before_backward_is_seen():
    stack = nn.TransformerEncoder(2, 8, 2, gradient_checkpointing=True)
    y = stack(leaf(drawn(2, 5, 8), np.float32))
    with no_grad():
        stack.layers[0].feed_forward.up.weight += 1.0
    with pytest.raises(RuntimeError, match="checkpoint: a tensor that the function reads was chan"):
        y.sum().backward()
