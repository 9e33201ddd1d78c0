"""A fixture for tests that define ops of their own: the list of ops is as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tinygrad_llm.ops import OPS


@pytest.fixture
def own_ops() -> Iterator[None]:
    """Ops that the test defines are taken off the list again."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)
