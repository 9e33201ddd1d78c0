"""Tests of `evaluating`: no dropout and no tape within, everything as before afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tinygrad_llm import nn, ones


@pytest.mark.parametrize("fails", [False, True])
def test_within_there_is_no_dropout_and_no_tape(fails):
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9), nn.Dropout(0.9))
    model[2].eval()
    x = ones(2, 3)
    try:
        with nn.evaluating(model):
            assert not model(x).requires_grad
            assert model(x).tolist() == model[0](x).tolist()
            if fails:
                raise KeyError("enough")
    except KeyError:
        assert fails
    assert model(x).requires_grad
    assert [module.training for module in model] == [True, True, False] and model.training


def modes(model):
    return [model.training, *(module.training for module in model)]


def test_a_model_is_as_before_once_the_last_of_several_threads_has_ended():
    """The whole model in one thread; a layer of it in another, which goes on for longer."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9))
    first, second, over = Event(), Event(), Event()

    def whole():
        with nn.evaluating(model):
            first.set()
            assert second.wait(10)
        over.set()

    def layer():
        assert first.wait(10)
        with nn.evaluating(model[1]):
            second.set()
            assert over.wait(10)
            return modes(model)

    with ThreadPoolExecutor(2) as pool:
        done, within = pool.submit(whole), pool.submit(layer)
        done.result()
        assert within.result() == [True, True, False]
    assert modes(model) == [True, True, True]


def test_blocks_within_each_other():
    model = nn.Sequential(nn.Dropout(0.9), nn.Dropout(0.9))
    model[0].eval()
    with nn.evaluating(model):
        with nn.evaluating(model):
            assert modes(model) == [False] * 3
        assert modes(model) == [False] * 3
    assert modes(model) == [True, False, True]
