"""The fixture that watches which ops run backward, and what each of them is asked for."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tinygrad_llm.ops.base import OPS, Op


class Visit(NamedTuple):
    """One call of an op's backward."""

    op: str
    needs: tuple[bool, ...]


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> list[Visit]:
    """The calls of every op's backward, in their order."""
    seen: list[Visit] = []

    def watched(op: type[Op]) -> staticmethod:
        backward = op.backward

        def call(xp, g, saved, needs):
            seen.append(Visit(op.name, tuple(needs)))
            return backward(xp, g, saved, needs)

        return staticmethod(call)

    for op in OPS.values():
        if "backward" in vars(op):
            monkeypatch.setattr(op, "backward", watched(op))
    return seen


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The shapes that each matrix product multiplies: in forward, and in a taped backward."""
    matmul = OPS["matmul"]
    forward, seen = matmul.forward, []

    def call(xp, a, b):
        seen.append((a.shape, b.shape))
        return forward(xp, a, b)

    monkeypatch.setattr(matmul, "forward", staticmethod(call))
    return seen
