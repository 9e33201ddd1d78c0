"""Tests of in_dtype in in_dtype: the innermost block counts, each end restores what was before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nn.common import Net, Tied, attributes, held, numbers, same
from tinygrad_llm import nn
from tinygrad_llm.nn.module import STAND_INS


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "first", "head"]),
            st.sampled_from(["float16", "float32", "float64"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_innermost_block_of_a_module_counts_and_each_end_restores(blocks):
    net = Net()
    net.scale = nn.Parameter(np.array(2.0))  # float64: no dtype is that of all
    names = list(net.named_parameters())

    def enter(blocks):
        (part, dtype), *rest = blocks
        before, tensors = attributes(net), held(net)
        with nn.in_dtype(getattr(net, part) if part else net, dtype):
            for name, value in held(net).items():
                expected = dtype if name.startswith(part) else tensors[name].dtype
                assert value.dtype == expected, name
            assert same(list(net.named_parameters()), names)
            if rest:
                enter(rest)
        assert all(map(same, attributes(net), before))

    enter(blocks)
    assert all(isinstance(value, nn.Parameter) for value in held(net).values()) and not STAND_INS


@pytest.mark.parametrize("outer", ["float16", "float32", "float64"])
@pytest.mark.parametrize("inner", ["float16", "float32", "float64"])
@pytest.mark.parametrize("when", ["inside", "between", "after"])
def test_a_block_in_a_block_computes_as_if_it_were_alone(outer, inner, when):
    """Its copies are those of the parameters: nothing is rounded twice."""
    net, twin = Net().eval(), Net().eval()
    twin.load_state_dict(net.state_dict())
    x = numbers(5, 3).astype(inner)
    with nn.in_dtype(twin, inner):
        expected = twin(x)
    expected.sum().backward()
    with nn.in_dtype(net, outer):
        with nn.in_dtype(net, inner):
            y = net(x)
            if when == "inside":
                y.sum().backward()
        if when == "between":
            y.sum().backward()
    if when == "after":
        y.sum().backward()
    assert y.dtype == inner and np.array_equal(y.data, expected.data)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert p.grad.dtype == np.float32 and np.array_equal(p.grad.data, q.grad.data)


def test_a_part_stays_in_float32_within_float16():
    net, twin = (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)) for _ in range(2))
    twin.load_state_dict(net.state_dict())
    x = numbers(5, 3).astype("float16")
    with nn.in_dtype(net, "float16"):
        with nn.in_dtype(net[1], "float32"):
            y = net[1](net[0](x).astype("float32"))
        assert net[1].weight.dtype == np.float16
    with nn.in_dtype(twin[0], "float16"):
        expected = twin[1](twin[0](x).astype("float32"))
    assert y.dtype == np.float32 and np.array_equal(y.data, expected.data)
    for each in (y, expected):
        each.sum().backward()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(p.grad.data, q.grad.data)


def test_a_shared_parameter_stays_shared_in_a_block_in_a_block():
    tied = Tied()
    with nn.in_dtype(tied.a, "float16"), nn.in_dtype(tied, "float64"):
        assert tied.a.weight is tied.b.weight is tied.again
        assert tied.a.weight.dtype == np.float64
    assert isinstance(tied.a.weight, nn.Parameter) and tied.a.weight is tied.b.weight is tied.again


@pytest.mark.parametrize("inner", ["float16", "float32", "float64"])
@pytest.mark.parametrize("inside", [False, True])
def test_gradient_checkpointing_computes_again_in_the_innermost_dtype(inner, inside):
    stacks = [
        nn.TransformerEncoder(2, 8, 2, gradient_checkpointing=on).eval() for on in (False, True)
    ]
    stacks[1].load_state_dict(stacks[0].state_dict())
    x = numbers(2, 5, 8).astype(inner)
    for stack in stacks:
        with nn.in_dtype(stack, "float16"):
            with nn.in_dtype(stack, inner):
                loss = (stack(x) * numbers(2, 5, 8).astype(inner)).sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
    for p, q in zip(*(stack.parameters() for stack in stacks), strict=True):
        assert np.array_equal(p.grad.data, q.grad.data)
