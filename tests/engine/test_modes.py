"""Tests of the modes: `no_grad`, `enable_grad` and `detect_anomaly`."""

from __future__ import annotations

import inspect
import os
import re
import threading

import numpy as np
import pytest

import tinygrad_llm
from tests.engine.common import leaf
from tinygrad_llm import Tensor, checkpoint, detect_anomaly, enable_grad, grad, no_grad
from tinygrad_llm import functional as F

HERE = re.escape(__file__)


def records(x):
    """Whether an op on x goes on the tape now."""
    return (x * 2.0).requires_grad


def test_no_grad_and_enable_grad_as_contexts_nest():
    x = leaf(1.0)
    with no_grad():
        assert not records(x)
        with enable_grad():
            assert records(x)
            with no_grad():
                assert not records(x)
            assert records(x)
        assert not records(x)
    assert records(x)


def test_no_grad_and_enable_grad_as_decorators():
    x = leaf(1.0)

    @no_grad()
    def off():
        """What it says."""
        return records(x), on()

    @enable_grad()
    def on():
        return records(x)

    for _ in range(2):
        assert off() == (False, True)
    assert records(x)
    assert off.__doc__ == "What it says."


def test_an_error_inside_restores_the_mode():
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert records(x)

    @no_grad()
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert records(x)


def test_a_new_thread_has_gradients_on_and_changes_nobody_elses_mode():
    x, seen, ready, done = leaf(1.0), [], threading.Event(), threading.Event()

    def work():
        seen.append(records(x))
        with no_grad():
            seen.append(records(x))
            ready.set()
            done.wait(10)
        seen.append(records(x))

    thread = threading.Thread(target=work)
    with no_grad():
        thread.start()
        assert ready.wait(10)
        with enable_grad():
            seen.append(records(x))
        done.set()
        thread.join(10)
        assert not records(x)
    assert seen == [True, False, True, True]


def test_threads_walk_their_own_graphs():
    results = {}

    def work(k):
        x = leaf(float(k))
        y = x
        for _ in range(50):
            y = y + F.sin(x) * 0.0
        (y * y).backward()
        results[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {k: 2.0 * k for k in range(8)}


def test_under_no_grad_nothing_is_remembered():
    x = leaf([1.0, 2.0])
    with no_grad():
        y = x * x
    assert y.is_leaf and not y.requires_grad
    with pytest.raises(RuntimeError, match=r"computed from nothing .*under no_grad.*requires_grad"):
        y.sum().backward()


def test_a_leaf_made_under_no_grad_can_require_gradients():
    with no_grad():
        x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    assert np.array_equal(x.grad.data, [2.0, 4.0])


@pytest.fixture
def quiet():
    """NumPy's own warnings about NaN off: it is the engine that shall speak."""
    with np.errstate(all="ignore"):
        yield


@pytest.mark.usefixtures("quiet")
def test_anomaly_names_the_op_that_made_a_nan_and_the_line():
    x = leaf([-1.0, 1.0])
    with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        line = inspect.currentframe().f_lineno + 1
        F.log(x * 1.0)
    assert str(caught.value) == (
        f"log made a NaN, called at {__file__}:{line} in "
        "test_anomaly_names_the_op_that_made_a_nan_and_the_line"
    )


@pytest.mark.usefixtures("quiet")
def test_anomaly_names_the_op_whose_backward_makes_a_nan_and_the_line():
    x = leaf([0.0, 1.0])
    with detect_anomaly():
        line = inspect.currentframe().f_lineno + 1
        y = F.sqrt(x) * 0.0
        message = f"backward of sqrt made a NaN for input 0; .*{HERE}:{line} in "
        with pytest.raises(FloatingPointError, match=message):
            y.sum().backward()


@pytest.mark.usefixtures("quiet")
def test_anomaly_in_backward_alone_says_that_the_place_is_unknown():
    y = F.sqrt(leaf([0.0])) * 0.0
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"sqrt.* unknown"):
        y.sum().backward()


@pytest.mark.usefixtures("quiet")
def test_a_nan_that_was_there_before_is_not_blamed_on_the_next_op():
    x = leaf([np.nan, 1.0])
    with detect_anomaly():
        assert np.isnan((x + 1.0).data[0])


def test_anomaly_names_a_line_in_a_folder_whose_name_begins_like_the_package():
    folder = os.path.dirname(tinygrad_llm.__file__) + "_course"
    source = "def lesson(F, x):\n    return F.log(x)\n"
    names: dict = {}
    exec(compile(source, os.path.join(folder, "lesson.py"), "exec"), names)
    message = r"lesson\.py:2 in lesson"
    with (
        np.errstate(all="ignore"),
        detect_anomaly(),
        pytest.raises(FloatingPointError, match=message),
    ):
        names["lesson"](F, leaf([-1.0]))


def test_writes_through_data_are_caught_by_checksums():
    x = leaf([1.0, 2.0])
    with detect_anomaly():
        y = x * x
        x.data[0] = 5.0
        message = rf"multiply, called at {HERE}:\d+ .* input 0 .* changed through \.data since"
        with pytest.raises(RuntimeError, match=message):
            y.sum().backward()


def test_writes_through_numpy_into_an_output_are_caught_too():
    x = leaf([1.0, 2.0])
    with detect_anomaly():
        y = F.exp(x)
        y.numpy()[1] = 0.0
        with pytest.raises(RuntimeError, match=r"exp, .* its output .* through \.data"):
            y.sum().backward()


def test_writes_that_no_backward_needs_are_allowed_under_anomaly():
    x = leaf([1.0, 2.0])
    with detect_anomaly():
        y = x + 1.0
        x.data[0] = y.data[0] = 5.0
        y.sum().backward()
    assert np.array_equal(x.grad.data, [1.0, 1.0])


def test_anomaly_leaves_values_and_gradients_as_they_are():
    def run():
        x = leaf([0.5, 2.0])
        y = checkpoint(lambda x: F.tanh(x) * x[[0, 0]], x)
        z = F.concatenate(F.split(y, 2)) ** 2
        z.sum().backward(create_graph=True)
        return z.data, x.grad.data

    plain = run()
    with detect_anomaly():
        watched = run()
    assert all(map(np.array_equal, plain, watched))


def test_anomaly_ends_with_its_block():
    x = leaf([-1.0])
    with np.errstate(all="ignore"):
        with detect_anomaly(), no_grad():
            pass
        assert np.isnan(F.log(x).data[0])


def test_detach_shares_memory_and_cuts_the_tape():
    x = leaf([1.0, 2.0])
    d = (x * 1.0).detach()
    assert d.is_leaf and not d.requires_grad
    y = x * x.detach()
    y.sum().backward()
    assert np.array_equal(x.grad.data, x.data)
    assert np.shares_memory(x.detach().data, x.data)


def test_the_setter_of_requires_grad():
    x = Tensor([1.0, 2.0])
    x.requires_grad = True
    assert x.is_leaf and x.requires_grad
    y = x * 2.0
    with pytest.raises(RuntimeError, match=r"requires_grad of a computed tensor.*detach\(\)"):
        y.requires_grad = False
    x.requires_grad = False
    assert not records(x)
    with pytest.raises(TypeError, match=r"int64 can have no gradient.*astype"):
        Tensor([1, 2]).requires_grad = True


def test_a_frozen_leaf_still_gets_gradients_from_the_tape_it_is_on():
    x = leaf(2.0)
    y = x * x
    x.requires_grad = False
    y.backward()
    assert x.grad.item() == 4.0
    x.requires_grad = True
    (3.0 * x).backward()
    assert x.grad.item() == 7.0


def test_create_graph_under_no_grad_stays_on_the_tape():
    x = leaf([2.0])
    y = (x * x * x).sum()
    with no_grad():
        first, again = grad(y, (x, x), create_graph=True)
    assert first.requires_grad and again.requires_grad
    assert grad(again.sum(), x).tolist() == [12.0]


def test_a_mode_object_can_be_entered_again():
    off = no_grad()
    for _ in range(2):
        with off:
            assert not (leaf(1.0) * 2.0).requires_grad
    with off, enable_grad(), off:
        assert not (leaf(1.0) * 2.0).requires_grad
    assert (leaf(1.0) * 2.0).requires_grad


def test_a_nan_that_comes_in_is_not_blamed_on_an_op():
    x = leaf([1.0])
    with detect_anomaly():
        (x * 2.0).backward(np.array([np.nan]))
    assert np.isnan(x.grad.data).all()
