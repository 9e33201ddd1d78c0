"""The processes in which benchmarks run: what is set in them, and what they say of the machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _load(path: Path) -> ModuleType:
    """A file of the package, without importing the package: that sets malloc for all the process,
    and other libraries run here as they are."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hardware = _load(ROOT / "tinygrad_llm" / "cli" / "machine.py")
HELD_BACK = hardware.HELD_BACK


def variables(**extra: str) -> dict[str, str]:
    """The environment of a benchmark's process: ours without what slows OpenBLAS, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in HELD_BACK}
    return kept | {"PYTHONUTF8": "1"} | extra


def fresh_process(arguments: list[str], **extra: str) -> str:
    """What `python arguments` prints, in a process without the variables that slow OpenBLAS."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=variables(**extra), capture_output=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"benchmark process failed:\n{done.stderr}")
    return done.stdout


def machine(**extra: str) -> str:
    """Python, NumPy, processor and cores, and NumPy's BLAS as a benchmark's process has it."""
    program = (
        "import numpy; from tests.benchmarks.environment import facts, in_words\n"
        "print('NumPy ' + numpy.__version__ + '\\n' + in_words(facts('ours')))"
    )
    numpy, blas = fresh_process(["-c", program], **extra).splitlines()
    return f"Python {platform.python_version()}, {numpy}, {hardware.processor()}\n{blas}"


def blas_core(**extra: str) -> str:
    """The core type that NumPy's OpenBLAS takes in a process with `extra` in its environment."""
    program = "from tests.benchmarks.environment import facts; print(facts('ours')['core'])"
    return fresh_process(["-c", program], **extra).strip()


def facts(library: str) -> dict[str, Any]:
    """What does the arithmetic in this process: version, BLAS, core type, threads."""
    if library == "ours":
        import tinygrad_llm

        return {"version": f"tinygrad_llm {tinygrad_llm.__version__}", **hardware.numpy_blas()}
    if library == "torch":
        return _torch_blas()
    if library == "jax":
        blas = f"jaxlib {version('jaxlib')} (XLA)"
        return {"version": f"JAX {version(library)}", "blas": blas, **_compiled(_available())}
    if library == "tinygrad":
        from tinygrad.helpers import NUM_CPU_THREADS

        blas = f"kernels of its own through {clang()}"
        threads = NUM_CPU_THREADS.value
        return {"version": f"tinygrad {version(library)}", "blas": blas, **_compiled(threads)}
    if library == "autograd":
        return {"version": f"autograd {version(library)}", **hardware.numpy_blas()}
    return {"version": library, **hardware.numpy_blas()}


def in_words(facts: dict[str, Any]) -> str:
    """One line: "tinygrad_llm 0.1.0, OpenBLAS 0.3.31, core SkylakeX, 2 threads"."""
    threads = facts["threads"]
    return f"{facts['version']}, {facts['blas']}, core {facts['core']}, {threads} threads"


def clang() -> str:
    """The compiler that tinygrad calls on a CPU."""
    return os.environ.get("CC", "clang")


def peak_memory() -> float | None:
    """MiB that this process held at most, or None where the system does not tell.

    Linux's ru_maxrss begins at what the parent held when it started us, so its own count of this
    program (VmHWM) is read where there is one.
    """
    try:
        status = Path("/proc/self/status").read_text("utf-8")
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024
    except (OSError, AttributeError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _compiled(threads: int) -> dict[str, Any]:
    """What compiles for the processor it finds, OPENBLAS_CORETYPE or not."""
    return {"core": "native", "threads": threads}


def _available() -> int:
    """Cores that this process may use; XLA makes a thread for each."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _torch_blas() -> dict[str, Any]:
    import torch

    config = torch.__config__.show()
    mkl = re.search(r"Math Kernel Library Version (\S+?)-", config)
    blas = f"MKL {mkl[1]}" if mkl else re.search(r"BLAS_INFO=(\w+)|$", config)[1]
    core = torch.backends.cpu.get_cpu_capability()
    about = {"version": f"PyTorch {torch.__version__}", "blas": blas, "core": core}
    return about | {"threads": torch.get_num_threads()}
