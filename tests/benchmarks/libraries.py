"""Sides of other libraries by the name of a network, imported only where they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from tests.benchmarks.worker import Step

MODULES = {
    "torch": "tests.benchmarks.with_torch",
    "jax": "tests.benchmarks.with_jax",
    "tinygrad": "tests.benchmarks.with_tinygrad",
    "autograd": "tests.benchmarks.with_autograd",
}
"""The module with the networks of each library."""


def sides(
    network: str,
    *sizes: Any,
    torch: Sequence[str] = ("foreach", "fused"),
    others: Sequence[str] = ("jax", "tinygrad", "autograd"),
) -> dict[str, Callable[[dict[str, Any]], Step]]:
    """Sides of PyTorch and of `others` that do what `network` says: "mlp", "gpt", "bert", "decode".

    torch: which forms of its optimizer, or of what else it has several of, have a side each; "" is
        what it takes by itself.
    """
    found: dict[str, tuple[str, dict[str, bool]]] = {
        f"torch {form}".strip(): ("torch", {form: True} if form else {}) for form in torch
    }
    found |= {library: (library, {}) for library in others}
    return {
        side: partial(_start, library, network, *sizes, **form)
        for side, (library, form) in found.items()
    }


def _start(library: str, network: str, *given: Any, **form: bool) -> Step:
    return getattr(import_module(MODULES[library]), network)(*given, **form)
