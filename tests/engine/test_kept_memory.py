"""Tests that memory which was freed serves the next array, without the system's help."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import tinygrad_llm
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    return [np.ones(1 << 20, np.float32) for _ in range(20)] and None
use()
before = faults()
use()
print(faults() - before)
"""
"""How many pages the system has to give for 20 arrays of 4 MB, after others that were freed."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told to keep")
def test_arrays_take_the_memory_of_earlier_ones():
    """Left to itself, malloc gives back what is free at its top, all 80 MB of it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200
