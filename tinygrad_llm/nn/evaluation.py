"""Evaluation: a model without dropout and without a tape for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tinygrad_llm.graph import no_grad
from tinygrad_llm.nn.module import Module

_lock = Lock()

_evaluated: dict[int, tuple[int, bool]] = {}
"""id of a module -> how many blocks it is evaluated in, and whether it was in training before."""


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within the block dropout is off and there is no tape; afterwards each module is as before.

    Blocks of several threads, or one within another, may share modules: each of these is as before
    when the last block that it is in has ended.
    """
    modules = list(model.modules())
    _enter(modules)
    try:
        with no_grad():
            yield
    finally:
        _leave(modules)


def _enter(modules: list[Module]) -> None:
    with _lock:
        for module in modules:
            blocks, training = _evaluated.get(id(module), (0, module.training))
            _evaluated[id(module)] = blocks + 1, training
            module.training = False


def _leave(modules: list[Module]) -> None:
    with _lock:
        for module in modules:
            blocks, training = _evaluated.pop(id(module))
            if blocks > 1:
                _evaluated[id(module)] = blocks - 1, training
            else:
                module.training = training
