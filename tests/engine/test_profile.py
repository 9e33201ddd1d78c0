"""profile: what it counts, whose time it is, and what it prints."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import tinygrad_llm
from tinygrad_llm import Tensor, checkpoint, grad, profile
from tinygrad_llm import functional as F
from tinygrad_llm.backend import put
from tinygrad_llm.testing.strict_cupy import installed

MODULE = sys.modules["tinygrad_llm.profile"]
"""The name at the top is that of the function."""


class Clock:
    """A second for each look at it."""

    now = 0.0

    def perf_counter(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(MODULE, "time", Clock())


def rows(table):
    return {(row.op, row.direction): row for row in table.rows}


def test_calls_and_bytes_forward_and_backward():
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    with profile(show=None) as table:
        ((x * x) * x).sum().backward()
    found = rows(table)
    assert {key: row.calls for key, row in found.items()} == {
        ("multiply", "forward"): 2,
        ("sum", "forward"): 1,
        ("sum", "backward"): 1,
        ("multiply", "backward"): 2,
    }
    assert found["multiply", "forward"].bytes == 2 * 3 * 24
    assert found["sum", "forward"].bytes == 24 + 4


def test_shares_are_of_the_whole_block(clock):
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    with profile(show=None) as table:
        F.tanh(x).sum()
    assert table.seconds == 5.0 and table.outside == 3.0
    assert [(r.op, r.seconds, r.share) for r in table.rows] == [
        ("tanh", 1.0, 0.2),
        ("sum", 1.0, 0.2),
    ]


def test_an_op_within_a_backward_is_charged_apart(clock):
    x = Tensor(np.ones(3), requires_grad=True)
    y = F.exp(x)
    with profile(show=None) as table:
        grad(y, x, Tensor(np.ones(3)), create_graph=True)
    found = {row.op: (row.direction, row.seconds) for row in table.rows}
    assert found["multiply"] == ("forward", 1.0) and found["exp"] == ("backward", 2.0)


def test_the_longest_comes_first(monkeypatch):
    looks = iter([0.0, 1.0, 2.0, 3.0, 9.0, 10.0])
    monkeypatch.setattr(MODULE, "time", type("", (), {"perf_counter": lambda: next(looks)}))
    with profile(show=None) as table:
        F.tanh(F.exp(Tensor([1.0])))
    assert [(row.op, row.seconds) for row in table.rows] == [("tanh", 6.0), ("exp", 1.0)]


def test_a_checkpoint_runs_its_ops_twice():
    x = Tensor([1.0], requires_grad=True)
    with profile(show=None) as table:
        checkpoint(F.tanh, x).backward(Tensor([1.0]))
    assert rows(table)["tanh", "forward"].calls == 2
    assert rows(table)["tanh", "backward"].calls == 1


def test_the_fast_form_of_an_op_is_timed_too():
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    with profile(show=None) as table:
        F.layer_norm(x).sum().backward()
    assert rows(table)["layer_norm", "forward"].calls == 1
    assert rows(table)["layer_norm", "backward"].calls == 1


def test_a_block_within_another_is_in_both_tables():
    with profile(show=None) as outer:
        F.tanh(Tensor([1.0]))
        with profile(show=None) as inner:
            F.exp(Tensor([1.0]))
        F.tanh(Tensor([1.0]))
    assert {key: row.calls for key, row in rows(inner).items()} == {("exp", "forward"): 1}
    assert {row.op: row.calls for row in outer.rows} == {"tanh": 2, "exp": 1}


def test_of_blocks_within_one_another_each_charges_an_op_for_its_own_time(clock):
    x = Tensor(np.ones(3), requires_grad=True)
    y = F.exp(x)
    with profile(show=None) as outer, profile(show=None) as inner:
        grad(y, x, Tensor(np.ones(3)), create_graph=True)
    for table, seconds in ((outer, [4.0, 3.0]), (inner, [4.0, 1.0])):
        found = {row.op: row.seconds for row in table.rows}
        assert [found["exp"], found["multiply"]] == seconds


def test_one_object_may_have_several_blocks(capsys):
    timed = profile()
    with timed as first:
        F.tanh(Tensor([1.0]))
        with timed as second:
            F.exp(Tensor([1.0]))
    with timed as third:
        F.sin(Tensor([1.0]))
    ops = [sorted(row.op for row in table.rows) for table in (first, second, third)]
    assert ops == [["exp", "tanh"], ["exp"], ["sin"]]
    assert capsys.readouterr().out.count("outside of ops") == 3


def test_a_function_may_be_timed_at_each_call():
    shown = []

    @profile(show=shown.append)
    def function(depth):
        F.tanh(Tensor([1.0]))
        return depth and function(depth - 1)

    function(1)
    assert [re.findall("tanh +forward +([0-9])", text) for text in shown] == [["1"], ["2"]]


@pytest.mark.parametrize("op", ["scaleddotproductattention", "linearcrossentropy", "x" * 60])
def test_a_line_has_less_than_80_letters_and_names_stand_alone(op):
    table = MODULE.Table()
    table.rows = [MODULE.Row(MODULE._in_words(op), "backward", 123456, 12.0, 10**9, 0.5)]
    table.seconds = 100.0
    lines = str(table).splitlines()
    assert {len(line) for line in lines[:2]} == {74} and len(lines[1].split()) == 6


def test_names_are_in_words():
    names = "scaleddotproductattention lineargelutanh bcewithlogits linearrelu silu topk log1p mine"
    assert [MODULE._in_words(name) for name in names.split()] == [
        *("scaled_dot_product_attention", "linear_gelu_tanh", "bce_with_logits", "linear_relu"),
        *("silu", "top_k", "log1p", "mine"),
    ]


def test_what_is_printed(capsys):
    with profile() as table:
        F.tanh(Tensor(np.ones(500_000, np.float32)))
    head, tanh, outside, whole = capsys.readouterr().out.splitlines()
    assert head.split() == ["op", "calls", "ms", "share", "MB"]
    assert re.fullmatch(r"tanh +forward +1 +[\d.]+ +[\d.]+% +4\.0", tanh)
    assert outside.startswith("outside of ops ") and whole.startswith("all ")
    assert str(table).splitlines() == [head, tanh, outside, whole]


def test_a_block_that_fails_has_a_table_and_prints_nothing(capsys):
    with pytest.raises(ZeroDivisionError), profile() as table:
        F.tanh(Tensor([1.0]))
        raise ZeroDivisionError
    assert [row.op for row in table.rows] == ["tanh"]
    assert not capsys.readouterr().out


def test_before_its_end_a_block_has_no_rows_and_after_it_no_ops():
    with profile(show=None) as table:
        F.tanh(Tensor([1.0]))
        assert table.rows == [] and "all" in str(table)
    F.tanh(Tensor([1.0]))
    assert rows(table)["tanh", "forward"].calls == 1


def test_results_are_the_same():
    def values():
        x = Tensor(np.linspace(-1.0, 1.0, 6).reshape(2, 3), requires_grad=True)
        y = F.softmax(x @ x.T)
        return y.data, grad(y[0, 0], x).data

    plain = values()
    with profile(show=None):
        timed = values()
    for a, b in zip(plain, timed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_device_is_waited_for(monkeypatch):
    with installed() as cupy:
        waited = []
        monkeypatch.setattr(cupy.cuda.Device, "synchronize", lambda self: waited.append(self))
        x = Tensor(put(np.ones(3), "cuda"))
        with profile(show=None) as table:
            F.tanh(x)
    assert waited and rows(table)["tanh", "forward"].bytes == 48


def test_it_is_at_the_top():
    assert tinygrad_llm.profile is profile
