"""Sides of other libraries by the name of a network, imported only where they run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from tests.benchmarks.worker import Step

MODULES = {
    "jax": "tests.benchmarks.with_jax",
    "tinygrad": "tests.benchmarks.with_tinygrad",
    "autograd": "tests.benchmarks.with_autograd",
}
"""The module with `mlp` and `gpt` of each library that has one of its own."""


def sides(network: str, *sizes: Any) -> dict[str, Callable[[dict[str, Any]], Step]]:
    """For each of MODULES a side that trains `network`, "mlp" or "gpt"."""
    return {library: partial(_start, library, network, *sizes) for library in MODULES}


def _start(library: str, network: str, *given: Any) -> Step:
    return getattr(import_module(MODULES[library]), network)(*given)
