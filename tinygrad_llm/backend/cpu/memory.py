"""Memory that was freed stays with the process, for the next array, and is not given back; unless
the environment variable TINYGRAD_LLM_KEEP_FREED is 0 when the package is imported."""

from __future__ import annotations

import ctypes
import os
import sys

SWITCH = "TINYGRAD_LLM_KEEP_FREED"
"""The environment variable that, set to 0, leaves malloc as it is."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, from glibc's malloc.h."""

LARGEST = 32 << 20
"""Bytes: larger arrays go back to the system when they are freed. glibc allows no more."""

KEPT = 1 << 30
"""Bytes of freed memory that are kept at most."""


def keep_freed() -> None:
    """Let glibc's malloc keep what is freed; elsewhere, where there is no mallopt, do nothing.

    By itself it maps each array above 128 kB anew, and unmaps it when it is freed. So a training
    step touches all its pages for the first time, and the system has to fill each with zeros
    before. What is set holds for the whole process, other libraries in it included: hence the
    variable that leaves malloc alone.
    """
    if os.environ.get(SWITCH) == "0" or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST)
        mallopt(_TRIM_THRESHOLD, KEPT)
