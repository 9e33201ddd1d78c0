"""Whole fine-tunings in tests are quick about what has tests of its own: pictures and intervals."""

from __future__ import annotations

import pytest

from tests.finetune.run_common import hurry


@pytest.fixture
def quick(monkeypatch):
    """A run without pictures, and with few samples of the bootstrap."""
    hurry(monkeypatch)
