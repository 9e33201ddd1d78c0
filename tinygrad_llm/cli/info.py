"""`tinygrad-llm info`: versions, and what does the arithmetic on this machine."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from typing import Any

from tinygrad_llm.cli import machine
from tinygrad_llm.cli.parsers import Parser, one_line


def add_parser(commands: Any) -> None:
    """Add the command to those of the main parser."""
    parser: Parser = commands.add_parser(
        "info",
        help="versions, and what does the arithmetic on this machine",
        description="Print versions, and what does the arithmetic on this machine.",
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it all; 0."""
    import numpy as np

    import tinygrad_llm

    blas = machine.numpy_blas()
    threads = f"{blas['threads']} thread{'' if blas['threads'] == 1 else 's'}"
    facts = {
        "tinygrad_llm": tinygrad_llm.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "NumPy": np.__version__,
        "BLAS": f"{blas['blas']}, core {blas['core']}, {threads}",
        "processor": machine.processor(),
        "CuPy": _cupy(),
    }
    for name, value in facts.items():
        print(f"{name:14}{value}")
    held = [f"{name}={os.environ[name]}" for name in machine.HELD_BACK if os.environ.get(name)]
    if held:
        print(
            f"warning: {' and '.join(held)} in the environment\n"
            "  can hold OpenBLAS to an older processor and make all of it slower: unset it"
        )
    return 0


def _cupy() -> str:
    """CuPy's version and the GPUs that it finds, or why everything runs on the CPU."""
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError:
        return "not installed: everything runs on the CPU"
    except ImportError as error:
        return f"cannot be imported ({one_line(error)}): everything runs on the CPU"
    runtime = cupy.cuda.runtime
    try:
        found = [runtime.getDeviceProperties(number) for number in range(runtime.getDeviceCount())]
    except runtime.CUDARuntimeError as error:
        return f"{cupy.__version__}, which finds no usable GPU ({error})"
    lines = [cupy.__version__]
    for number, each in enumerate(found):
        memory = f"{each['totalGlobalMem'] / 2**30:.0f} GiB"
        lines.append(f"{f'  cuda:{number}':14}{each['name'].decode()}, {memory}")
    return "\n".join(lines)
