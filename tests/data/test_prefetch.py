"""Tests of the background thread: what it may touch, what reaches the consumer, when it ends."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import pytest

from tinygrad_llm import Tensor, no_grad
from tinygrad_llm.backend import random
from tinygrad_llm.data import ArrayDataset, DataLoader, Subset, prefetch
from tinygrad_llm.data.prefetch import made_ahead

DATASET = ArrayDataset(np.arange(20))


def workers():
    """The threads that make batches now."""
    return [thread for thread in threading.enumerate() if thread.name == "batches ahead"]


def soon(condition):
    """Whether it becomes true within seconds."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.fixture(autouse=True)
def no_thread_stays():
    """Each test ends with no thread at work."""
    yield
    assert soon(lambda: not workers())


def test_one_other_thread_makes_the_batches_in_order():
    threads = []

    def make(number):
        threads.append(threading.current_thread())
        return number * number

    assert list(made_ahead(make, range(3, 9), 2)) == [n * n for n in range(3, 9)]
    assert len(set(threads)) == 1 and threads[0] is not threading.current_thread()
    assert threads[0].daemon


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_so_many_are_made_ahead_and_no_more(ahead):
    made = []
    batches = made_ahead(lambda number: made.append(number) or number, range(10), ahead)
    for taken in range(10):
        next(batches)
        most = min(taken + 1 + ahead, 10)
        assert soon(lambda most=most: len(made) == most)
        time.sleep(0.01)
        assert len(made) == most
    batches.close()


def test_nothing_starts_before_the_first_batch_is_asked_for():
    loader = DataLoader(DATASET, 2, prefetch=2)
    batches = iter(loader)
    assert not workers()
    next(batches)
    assert len(workers()) == 1
    del batches


def test_the_thread_touches_neither_streams_nor_modes_of_the_main_thread():
    x = Tensor(np.ones(2), requires_grad=True)
    entered = threading.Event()

    def transform(batch, generator):
        no_grad().__enter__()  # and never leaves
        entered.set()
        generator.normal(size=100)
        return batch

    batches = iter(DataLoader(DATASET, 2, shuffle=True, transform=transform, prefetch=2))
    before = random.state(), repr(np.random.get_state())
    next(batches)
    assert entered.is_set() and (x * 2.0).requires_grad
    assert len(list(batches)) == 9
    assert (random.state(), repr(np.random.get_state())) == before
    assert (x * 2.0).requires_grad


class OwnError(Exception):
    pass


def failing(batch, _):
    if 6 in batch[0]:
        raise OwnError("bad row")
    return batch


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_an_error_takes_the_place_of_its_batch_with_its_traceback(ahead):
    loader = DataLoader(DATASET, 2, transform=failing, prefetch=ahead)
    got = []
    with pytest.raises(OwnError, match=r"^bad row$") as caught:
        for (batch,) in loader:
            got.append(batch.tolist())
    assert got == [[0, 1], [2, 3], [4, 5]]
    assert loader.state_dict()["delivered"] == 3
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_errors_that_end_a_program_reach_the_consumer_too(error):
    def make(number):
        raise error

    with pytest.raises(error):
        next(made_ahead(make, range(3), 1))


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_stop_iteration_in_a_transform_does_not_look_like_the_end(ahead):
    def transform(batch, _):
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(DATASET, 2, transform=transform, prefetch=ahead))


def test_leaving_the_loop_stops_the_thread():
    for _ in DataLoader(DATASET, 1, prefetch=1):
        assert len(workers()) == 1
        break
    assert soon(lambda: not workers())
    with pytest.raises(OwnError):
        for _ in DataLoader(DATASET, 1, prefetch=3):
            raise OwnError
    assert soon(lambda: not workers())


def test_an_iterator_that_nobody_holds_stops_the_thread():
    loader = DataLoader(DATASET, 1, prefetch=2)
    batches = iter(loader)
    next(batches)
    del batches
    assert soon(lambda: not workers())
    circle = [iter(loader)]
    circle.append(circle)
    next(circle[0])
    del circle
    gc.collect()
    assert soon(lambda: not workers())


def test_leaving_does_not_wait_for_a_batch_that_is_being_made():
    go_on = threading.Event()
    batches = made_ahead(lambda number: number or go_on.wait(60), range(3), 1)
    next_one = made_ahead(lambda number: number == 0 or go_on.wait(60), range(3), 1)
    assert next(next_one) is True
    begun = time.monotonic()
    next_one.close()
    batches.close()
    assert time.monotonic() - begun < 5
    go_on.set()


class Slow:
    """Forty rows, and how many threads have been reading them at once."""

    reading = most = 0

    def __len__(self):
        return 40

    def __getitem__(self, index):
        self.reading += 1
        self.most = max(self.most, self.reading)
        time.sleep(0.001)
        self.reading -= 1
        return index


def test_no_two_threads_read_the_dataset_at_once():
    dataset = Slow()
    loader = DataLoader(dataset, 4, prefetch=2)
    for _ in range(5):
        next(iter(loader))
    loader.prefetch = 0
    assert len(list(loader)) == 10
    assert dataset.most == 1


@pytest.mark.parametrize("length", [None, int])
def test_no_two_loaders_read_the_dataset_at_once_either(length):
    """One trains and prefetches, the other evaluates, each on its part of one dataset."""
    dataset = Slow()
    training = iter(DataLoader(Subset(dataset, range(20)), 2, prefetch=9))
    next(training)
    evaluation = DataLoader(Subset(dataset, range(20, 40)), 2, length=length)
    assert len(list(evaluation)) == 10 and len(list(training)) == 9
    assert dataset.most == 1


def test_two_iterations_at_once_do_not_mix():
    loader = DataLoader(DATASET, 3, shuffle=True, prefetch=2)
    for _ in range(3):
        one, other = zip(*zip(loader, loader))
        for batches in (one, other):
            assert sorted(n for (batch,) in batches for n in batch.tolist()) == list(range(20))


def test_a_thread_that_is_gone_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(prefetch._Worker, "_work", lambda self: None)
    with pytest.raises(RuntimeError, match=r"^DataLoader: the thread .* is gone, .*; begin a new"):
        next(made_ahead(lambda number: number, range(3), 1))


BEGINNING = """
import _thread, atexit, os, sys, threading
import numpy as np
from tinygrad_llm.data import ArrayDataset, DataLoader

at_it = threading.Event()

def slow(batch, generator):
    if batch[0][0] >= 4:
        at_it.set()
        threading.Event().wait()
    return batch

def loader(**kwargs):
    return DataLoader(ArrayDataset(np.arange(4000)), 2, prefetch=2, **kwargs)
"""
ENDINGS = {
    "a loop that was left": ("for batch in loader(): break", 0),
    "an iterator that is held": ("held = iter(loader()); next(held)", 0),
    "a batch that never ends": (
        "held = iter(loader(transform=slow)); next(held); at_it.wait()",
        0,
    ),
    "a thread that would outlive the exit's handlers": (
        "atexit.register(lambda: os._exit(threading.active_count() - 1))\n"
        "held = iter(loader()); next(held)",
        0,
    ),
    "a dataset that goes over another loader": (
        "inner = loader()\n"
        "held = DataLoader([1], 1, prefetch=1, collate_fn=lambda rows: [b for b in inner])\n"
        "sys.exit(len(next(iter(held))) != 2000)",
        0,
    ),
    "a dataset that takes on from another loader": (
        "inner = iter(loader())\n"
        "rows = DataLoader([1, 2, 3], 1, collate_fn=lambda rows: next(inner)[0])\n"
        "sys.exit([batch.tolist() for batch in rows] != [[0, 1], [2, 3], [4, 5]])",
        0,
    ),
    "a fork while a batch is made": (
        "held = iter(loader(transform=slow)); next(held); at_it.wait()\n"
        "if hasattr(os, 'fork'):\n"
        "    child = os.fork()\n"
        "    if not child: os._exit(len(list(DataLoader([1, 2], 1))))\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 2)",
        0,
    ),
    "an iterator in a circle": ("a = [iter(loader())]; a.append(a); next(a[0]); del a", 0),
    "an error in the loop": ("for batch in loader(transform=slow): 1 / 0", 1),
    "an exit in the loop": ("for batch in loader(transform=slow): sys.exit(7)", 7),
    "Ctrl-C while waiting": (
        "threading.Timer(0.3, _thread.interrupt_main).start()\n"
        "try:\n"
        "    for batch in loader(transform=slow): pass\n"
        "except KeyboardInterrupt: sys.exit(5)",
        5,
    ),
    "a thread that prints": (
        "held = iter(loader(transform=lambda b, g: print(b) or b)); next(held); next(held)",
        0,
    ),
}


def test_no_ending_hangs():
    """Each in a process of its own, all at once."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-c", f"{BEGINNING}\n{script}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, (script, _) in ENDINGS.items()
    }
    try:
        for name, child in running.items():
            _, said = child.communicate(timeout=60)
            assert child.returncode == ENDINGS[name][1], (name, said)
            assert "Fatal" not in said and "Exception ignored" not in said, (name, said)
    finally:
        for child in running.values():
            child.kill()
            child.wait()
