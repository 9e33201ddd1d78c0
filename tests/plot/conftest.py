"""What all tests of figures need."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest

from tinygrad_llm.plot import fonts


@pytest.fixture
def plain(monkeypatch):
    """No figure outlives its test, and none depends on the fonts of the machine."""
    monkeypatch.setattr(fonts, "chinese_family", lambda: None)
    yield
    plt.close("all")
