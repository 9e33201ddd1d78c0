"""Tests that importing the package loads only what computing needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATER = ["matplotlib", "hypothesis", "cupy", "tqdm", "safetensors", "regex", "scipy", "pytest"]

SCRIPT = """
import sys
import tinygrad_llm
x = tinygrad_llm.randn(3, requires_grad=True)
(x * x).sum().backward()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The top-level modules of a process that imported the package and took one gradient."""
    command = [sys.executable, "-c", SCRIPT]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize("module", LATER)
def test_what_is_slow_or_optional_is_imported_when_used(loaded, module):
    assert module not in loaded


def test_numpy_and_the_package_are_there(loaded):
    assert {"numpy", "tinygrad_llm"} <= loaded
