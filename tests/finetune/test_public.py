"""What `tinygrad_llm.finetune` offers, and that importing it loads no more than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tinygrad_llm import finetune


def test_every_public_name_is_there_and_says_what_it_is():
    assert finetune.__all__ == sorted(finetune.__all__)
    for name in finetune.__all__:
        assert len(getattr(finetune, name).__doc__) > 40, name


def loaded_by(module):
    """The modules that an import of one loads, in a process of its own."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_fine_tuning_is_loaded_when_it_is_asked_for():
    assert not {"tinygrad_llm.finetune", "tinygrad_llm.training"} & loaded_by("tinygrad_llm")


@pytest.mark.parametrize("name", ["matplotlib", "hypothesis", "tqdm", "cupy", "resource"])
def test_what_takes_long_is_loaded_when_it_is_used(name):
    assert name not in LOADED and "tinygrad_llm.finetune.run" in LOADED


LOADED = loaded_by("tinygrad_llm.finetune")
