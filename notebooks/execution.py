"""Executes a notebook in a kernel of its own: this very Python, and no settings of the user's."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from notebooks.catalogue import ROOT

QUICK = "TINYGRAD_LLM_QUICK"
"""The variable that a notebook finds set to 1 when it shall take seconds."""

CELL_SECONDS = 300
"""A cell that takes longer is taken for one that never ends."""

_OWN = ("IPYTHONDIR", "MPLBACKEND", "PYTHONSTARTUP", QUICK)
"""Variables that would bring a reader's own settings into a kernel."""


class Outcome(NamedTuple):
    """A notebook after it ran, and why it is no good, if it is not."""

    notebook: Any
    seconds: float
    problem: str


def execute(notebook: Any, quick: bool, tick: Callable[[int], None]) -> Outcome:
    """Run all cells in order, in the root of the repository; `tick` gets each cell's number.

    notebook: as contents.read gives it; its outputs are replaced.
    """
    start = time.perf_counter()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of asyncio and zmq, about what no reader can change
        problem = _run(notebook, Path(folder), quick, tick)
    return Outcome(notebook, time.perf_counter() - start, problem)


def _run(notebook: Any, folder: Path, quick: bool, tick: Callable[[int], None]) -> str:
    """Why it stopped, or nothing."""
    from notebooks.contents import faults

    manager = _manager(folder)
    client = _client(notebook, manager)
    log = folder / "kernel.txt"
    with open(log, "wb") as said:
        around = {"cwd": str(ROOT), "env": _environment(folder, quick)}
        try:
            with client.setup_kernel(**around, stdout=said, stderr=said, cleanup_kc=True):
                problem = _run_cells(client, tick)
        except RuntimeError as error:  # nbclient's, of a kernel that dies before it answers
            problem = f"no kernel started: {error}"
        finally:
            _end(manager)
    if problem:
        last = log.read_text("utf-8", errors="replace").strip().splitlines()[-1:]
        return " ".join([problem, *last])
    return next(faults(notebook), "")


def _run_cells(client: Any, tick: Callable[[int], None]) -> str:
    """The cell that ended the kernel, or nothing; a cell that fails says so in its output."""
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    from notebooks.contents import code_cells, place

    positions = {cell.id: position for position, cell in enumerate(client.nb.cells)}
    for number, cell in enumerate(code_cells(client.nb), 1):
        tick(number)
        try:
            client.execute_cell(cell, positions[cell.id])
        except CellExecutionError:
            break
        except DeadKernelError:
            return f"{place(number, cell)} ended the kernel"
    return ""


def _end(manager: Any) -> None:
    """Kill a kernel that is left: one that was starting when Ctrl-C came.

    The manager was interrupted too, and can do nothing more, so its process is ended directly.
    """
    process = getattr(manager.provisioner, "process", None)
    if process is not None:
        process.kill()
        process.wait()


def _client(notebook: Any, manager: Any) -> Any:
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        km=manager,
        timeout=CELL_SECONDS,
        force_raise_errors=True,
        record_timing=False,
        coalesce_streams=True,
        shutdown_kernel="immediate",
    )
    client.reset_execution_trackers()
    return client


def _manager(folder: Path) -> Any:
    """What starts this Python as the kernel, whatever "python3" means elsewhere on the machine."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name="Python 3", language="python")

    return AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=ThisPython(),
        connection_file=str(folder / "kernel.json"),
    )


def _environment(folder: Path, quick: bool) -> dict[str, str]:
    """What a kernel has around it: nothing of the user's own IPython or matplotlib settings."""
    matplotlibrc = _matplotlibrc()  # first: it may set where fonts are cached
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    # One thread, as in the chapters: see `chapters.options.one_blas_thread`.
    return (
        {"OPENBLAS_NUM_THREADS": "1"}
        | kept
        | {
            "IPYTHONDIR": str(folder / "ipython"),
            "MATPLOTLIBRC": matplotlibrc,
            "PYTHONUTF8": "1",
            **({QUICK: "1"} if quick else {}),
        }
    )


def _matplotlibrc() -> str:
    """matplotlib's own settings; its cache of fonts is there when a kernel asks for it.

    matplotlib announces on stderr when it builds that cache, which must not end up in a notebook.
    """
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import matplotlib.font_manager

    return str(Path(matplotlib.get_data_path(), "matplotlibrc"))
