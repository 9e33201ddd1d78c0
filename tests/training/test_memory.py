"""The most memory that the process had: of the right size, and growing with what is taken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinygrad_llm.training import memory
from tinygrad_llm.training.memory import peak_memory

LARGE = """
import subprocess, sys
import numpy as np

held = np.ones(400 * 2**20, np.uint8)
print(subprocess.run([sys.executable, "-c", sys.argv[1]], capture_output=True, text=True).stdout)
"""

GROW = """
import json
import numpy as np
from tinygrad_llm.training.memory import peak_memory

found = [peak_memory()]
held = np.ones(300 * 2**20, np.uint8)
found.append(peak_memory())
del held
print(json.dumps([*found, peak_memory()]))
"""


def test_it_is_in_bytes_and_the_highest_that_was(tmp_path):
    """In a process of its own, which a larger one has started."""
    words = [sys.executable, "-c", LARGE, GROW]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    before, held, after = json.loads(done.stdout)
    if sys.platform == "win32":
        assert (before, held, after) == (None, None, None)
        return
    assert 10 * 2**20 < before < 250 * 2**20
    assert 300 * 2**20 < held < 300 * 2**20 + before + 2**24
    assert after > held - 2**21  # Linux counts pages in heaps


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_systems_count_in_units_of_their_own(platform, unit, monkeypatch):
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=7))
    monkeypatch.setitem(sys.modules, "resource", usage)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(memory, "_STATUS", Path("nowhere"))
    assert peak_memory() == 7 * unit


def test_a_system_that_does_not_say_is_none(monkeypatch):
    monkeypatch.setattr(memory, "_STATUS", Path("nowhere"))
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory() is None
