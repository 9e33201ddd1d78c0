"""What does the arithmetic in this process: the processor, NumPy's BLAS and its threads.

It imports nothing of the package, so that a process which must stay without it can load this file.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

HELD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that hold OpenBLAS to an older processor; they act before NumPy is imported."""

_FORMS = ("scipy_openblas_{}64_", "openblas_{}64_", "scipy_openblas_{}", "openblas_{}")
"""How the builds of OpenBLAS name their functions."""


def processor() -> str:
    """The processor's name, and how many cores there are."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf8") as file:
            name = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def numpy_blas() -> dict[str, Any]:
    """NumPy's BLAS with its version, "blas", core type, "core", and "threads"; asked in the library
    itself where that is the OpenBLAS of NumPy's wheels, else unknown."""
    import numpy as np

    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = {"blas": f"{built['name']} {built['version']}", "core": "unknown", "threads": "?"}
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in folder.glob("*openblas*"):
            return found | _openblas(ctypes.CDLL(str(path)))
    return found


def _openblas(library: ctypes.CDLL) -> dict[str, Any]:
    for form in _FORMS:
        if hasattr(library, form.format("get_corename")):
            config = getattr(library, form.format("get_config"))
            core = getattr(library, form.format("get_corename"))
            config.restype = core.restype = ctypes.c_char_p
            version = " ".join(config().decode().split()[:2])
            threads = getattr(library, form.format("get_num_threads"))()
            return {"blas": version, "core": core().decode(), "threads": threads}
    return {}
