"""The options that a chapter and the runner share."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.refuse(f"{message} (--help shows what there is)")

    def refuse(self, message: str) -> NoReturn:
        """End with one line, and the exit code of wrong usage."""
        self.exit(2, f"{self.prog}: {message}\n")


Plain = argparse.RawDescriptionHelpFormatter
"""Help whose last lines stay as they are written."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="a smaller run, in seconds")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:<number>")
    parser.add_argument("--data", metavar="PATH", help="your own data, where a chapter has a use")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default 0)")


def check(parser: Parser, options: argparse.Namespace) -> None:
    """End in one clear line when the data or the device is not there."""
    if options.data is not None and not Path(options.data).exists():
        parser.refuse(f"--data: there is no file or folder {options.data}")
    if options.seed < 0:
        parser.refuse(f"--seed: {options.seed} is negative; seeds count from 0")
    if options.device != "cpu":
        from tinygrad_llm import Tensor  # slow, and needed only to ask for a GPU

        try:
            Tensor(0.0, device=options.device)
        except (ValueError, RuntimeError) as error:
            parser.refuse(f"--device: {error}")


def given(options: argparse.Namespace) -> list[str]:
    """The options as the command line of one chapter."""
    words = ["--device", options.device, "--seed", str(options.seed)]
    words += ["--quick"] if options.quick else []
    return words + (["--data", options.data] if options.data is not None else [])


def one_blas_thread() -> None:
    """Let NumPy's matrix products run in this thread alone, unless OPENBLAS_NUM_THREADS says else.

    OpenBLAS's threads wait for each other by spinning, and a chapter's products are small: on cores
    that have other work too, most of a run can go into waiting.
    """
    if "OPENBLAS_NUM_THREADS" in os.environ:
        return
    package = Path(np.__file__).parent
    for path in (
        *package.parent.glob("numpy.libs/*openblas*"),
        *package.glob(".dylibs/*openblas*"),
    ):
        library = ctypes.CDLL(str(path))  # the one that NumPy has loaded
        for form in ("scipy_openblas_{}64_", "openblas_{}64_", "scipy_openblas_{}", "openblas_{}"):
            set_threads = getattr(library, form.format("set_num_threads"), None)
            if set_threads is not None:
                set_threads(1)
                return


def end_with_the_pipe() -> None:
    """Where output goes into a pipe whose reader has left, as in `| head`, end without a word."""
    if hasattr(signal, "SIGPIPE"):  # not on Windows
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def interrupted() -> NoReturn:
    """What Ctrl-C ends with, everywhere in the course."""
    print("\nstopped by Ctrl-C", file=sys.stderr)
    sys.exit(130)
