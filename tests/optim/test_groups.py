"""Tests of groups of parameters, and of what an optimizer refuses."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

from tests.engine.common import leaf
from tests.optim.common import give, parameter
from tinygrad_llm import Tensor, grad, nn
from tinygrad_llm.optim import SGD, Optimizer

# Groups


def test_groups_have_settings_of_their_own_that_can_be_changed():
    a, b, c = (parameter([0.0]) for _ in range(3))
    optimizer = SGD([{"params": a}, {"params": iter([b, c]), "lr": 2.0}], lr=1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 2.0]
    assert [group["params"] for group in optimizer.param_groups] == [[a], [b, c]]
    for lr in (2.0, 10.0):
        optimizer.param_groups[1]["lr"] = lr
        for p in (a, b, c):
            give(p, [1.0])
        optimizer.step()
    assert [p.item() for p in (a, b, c)] == [-2.0, -12.0, -12.0]


def test_what_is_given_is_not_changed():
    p = parameter([1.0])
    given = {"params": [p], "lr": 0.5}
    optimizer = SGD([given])
    assert given == {"params": [p], "lr": 0.5}
    optimizer.param_groups[0]["lr"] = 1.0
    assert given["lr"] == 0.5


def test_zero_grad_reaches_every_group():
    a, b = parameter([1.0]), parameter([2.0])
    optimizer = SGD([{"params": [a]}, {"params": [b]}])
    give(a, [1.0])
    give(b, [1.0])
    optimizer.zero_grad()
    assert a.grad is None and b.grad is None


def test_a_group_that_is_added_later_learns_or_is_refused():
    """It must not be left out without a word."""
    p, late = parameter([1.0]), parameter([1.0])
    optimizer = SGD([p], lr=1.0)
    optimizer.param_groups.append({"params": [late], "lr": 1.0, "momentum": 0.0})
    give(p, [1.0])
    give(late, [1.0])
    try:
        optimizer.step()
    except (ValueError, RuntimeError) as error:
        assert "group" in str(error)
    else:
        assert late.item() == 0.0


# What is refused


def test_a_generator_that_is_used_up_is_named():
    layer = nn.Linear(1, 1)
    generator = layer.parameters()
    SGD(generator)
    with pytest.raises(ValueError, match="no parameters; a generator can be used only once"):
        SGD(generator)
    with pytest.raises(ValueError, match="no parameters"):
        SGD([])
    with pytest.raises(ValueError, match="no parameters"):
        SGD([{"params": generator}, {"params": [parameter([1.0])]}])


def test_a_parameter_that_is_given_twice_is_refused():
    p = parameter([1.0])
    for twice in ([p, p], [{"params": [p]}, {"params": [p]}], [{"params": [p, p]}]):
        with pytest.raises(ValueError, match="a parameter is given twice"):
            SGD(twice)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (lambda p: [p, {"params": [p]}], TypeError, 'give Tensors, or dicts that have "params"'),
        (lambda p: [{"lr": 0.1}], TypeError, 'dicts that have "params"'),
        (lambda p: [{"params": [p], "rate": 1.0}], ValueError, "unknown setting rate; has lr, mo"),
        (lambda p: [p.data], TypeError, "a parameter is a leaf Tensor, not array"),
        (lambda p: [p * 2.0], TypeError, "a parameter is a leaf Tensor, not Tensor"),
        (lambda p: ["weight"], TypeError, "a parameter is a leaf Tensor, not 'weight'"),
        (lambda p: p, TypeError, "list"),
        (lambda p: p.detach(), TypeError, "list"),
        (lambda p: nn.Linear(1, 1), TypeError, r"optimizer: .*parameters\(\)"),
        (lambda p: nn.Sequential(nn.Linear(1, 1)), TypeError, r"optimizer: .*parameters\(\)"),
    ],
    ids=["mixed", "no params", "unknown", "array", "computed", "name", "parameter", "tensor",
         "module", "sequential"],
)  # fmt: skip
def test_what_is_no_parameter_is_refused_with_the_mend(given, kind, message):
    with pytest.raises(kind, match=message):
        SGD(given(parameter([1.0, 2.0])))


@pytest.mark.parametrize("shape", [(3, 2), (6,), (3,), (2, 1), ()], ids=str)
def test_a_gradient_of_another_shape_is_refused(shape):
    """By its number of elements it would fit, or it would broadcast."""
    p = parameter(np.zeros((2, 3)))
    p.grad = Tensor(np.ones(shape))
    message = rf"optimizer: .*{re.escape(str(shape))}.*\(2, 3\)"
    with pytest.raises((ValueError, RuntimeError), match=message):
        SGD([p], lr=1.0).step()


def test_an_optimizer_without_update_says_so():
    p = parameter([1.0])
    give(p, [1.0])
    with pytest.raises(NotImplementedError, match="Optimizer has no update: write one"):
        Optimizer([p], lr=1.0).step()


def test_a_taped_gradient_is_a_gradient_too():
    w, x = parameter([2.0]), leaf([3.0])
    (g,) = grad((w * w * x).sum(), [w], create_graph=True)
    w.grad = g
    SGD([w], lr=0.5).step()
    assert w.item() == 2.0 - 0.5 * 12.0
    g.sum().backward()
    assert x.grad.item() == 4.0


def test_a_copied_optimizer_goes_on_as_the_one_it_was_copied_from():
    p = parameter([1.0, 2.0])
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    give(p, [1.0, 1.0])
    optimizer.step()
    twin = copy.deepcopy(optimizer)
    (q,) = twin.param_groups[0]["params"]
    give(q, [1.0, 1.0])
    give(p, [1.0, 1.0])
    optimizer.step()
    twin.step()
    assert q is not p and np.array_equal(p.data, q.data)


def test_half_precision_parameters_are_refused():
    p = parameter([1.0, 1.0], "float16")
    give(p, [1.0, 1.0])
    with pytest.raises(TypeError, match="steps get lost in float16: keep the parameters in float3"):
        SGD([p]).step()


def test_settings_are_checked_again_at_each_step():
    p = parameter([1.0])
    optimizer = SGD([p])
    optimizer.param_groups[0]["lr"] = float("nan")
    give(p, [1.0])
    with pytest.raises(ValueError, match="lr must be at least 0, not nan"):
        optimizer.step()
