"""The processes in which benchmarks run: what is set in them, and what they say of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

HELD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that hold OpenBLAS to an older processor; they act before NumPy is imported."""


def fresh_process(arguments: list[str], **extra: str) -> str:
    """What `python arguments` prints, in a process without the variables that slow OpenBLAS."""
    environment = {k: v for k, v in os.environ.items() if k not in HELD_BACK} | extra
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"benchmark process failed:\n{done.stderr}")
    return done.stdout


def machine() -> str:
    """One line: Python, NumPy, processor, cores."""
    import numpy as np

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf8") as file:
            name = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{versions}, {name}, {os.cpu_count()} cores"
