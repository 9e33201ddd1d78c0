"""Tests of the notebooks: they run afresh, as they are stored they are whole, and their runner."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from notebooks import __main__ as command
from notebooks import contents
from notebooks.catalogue import HERE, ROOT, notebooks

TWIN = {"cell_type": "code", "id": "a", "metadata": {}, "source": "", "outputs": []}
TWINS = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [TWIN, TWIN]}
FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"


def run(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """`python -m notebooks words` in a root, with its output as text."""
    kept = {name: value for name, value in os.environ.items() if name != "TINYGRAD_LLM_QUICK"}
    return subprocess.run(
        [sys.executable, "-m", "notebooks", *words], cwd=root, env=kept | environment,
        capture_output=True, encoding="utf-8",
    )  # fmt: skip


@pytest.fixture
def small(tmp_path):
    """A root with the runner and no notebook; call it to add one, given its cells of code."""
    for folder in ("chapters", "notebooks"):
        (tmp_path / folder).mkdir()
        for path in (ROOT / folder).glob("*.py"):
            shutil.copy(path, tmp_path / folder)

    def add(name: str, *sources: str) -> Path:
        cells = [nbformat.v4.new_markdown_cell("# 题目", id="title")]
        stale = nbformat.v4.new_output("stream", text="stale")
        stale = {"execution_count": 99, "outputs": [stale]}
        cells += [nbformat.v4.new_code_cell(s, id=f"c{i}", **stale) for i, s in enumerate(sources)]
        cells[-1]["metadata"]["execution"] = {"iopub.status.busy": "2020-01-01"}
        path = tmp_path / "notebooks" / name
        path.write_text(nbformat.v4.writes(nbformat.v4.new_notebook(cells=cells)), "utf-8")
        return tmp_path

    return add


# The notebooks themselves


def test_the_first_notebooks_are_there():
    assert [each.number for each in notebooks()][:4] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("which", notebooks(), ids=lambda each: each.number)
def test_a_notebook_executes_afresh_in_quick_mode(which):
    stored = which.path.read_bytes()
    start = time.monotonic()
    done = run(ROOT, which.number, "--quick", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - start < 60
    assert re.fullmatch(rf"{which.title}: \d+ cells, \d+ figures, \S+ s, PASS\n", done.stdout)
    assert done.stderr == "" and which.path.read_bytes() == stored


@pytest.mark.parametrize("which", notebooks(), ids=lambda each: each.number)
def test_a_stored_notebook_is_whole(which):
    notebook = contents.read(which.path)
    code = contents.code_cells(notebook)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert list(contents.faults(notebook)) == []
    assert contents.figures(notebook) >= 3
    assert notebook.cells[0].source.startswith("# ")
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "**中文导读**" in prose
    assert which.path.stat().st_size < 3_000_000
    assert which.path.read_text("utf-8") == contents.as_text(notebook), "python -m notebooks"


# The runner


def test_runner_stores_what_it_executed_in_one_form(small):
    root = small("01_first_look.ipynb", "print(6 * 7, flush=True)\nprint('x')", FIGURE, "", "'值'")
    path = root / "notebooks" / "01_first_look.ipynb"
    done = run(root, MPLBACKEND="Agg")
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert "stale" not in path.read_text("utf-8")
    line = r"01 first look: 3 cells, 1 figures, \d+\.\d s, PASS\n"
    assert re.fullmatch(line, done.stdout)
    text = path.read_text("utf-8")
    stored = json.loads(text)
    assert stored["metadata"] == contents.METADATA and stored["nbformat_minor"] == 5
    assert [cell["id"] for cell in stored["cells"]] == ["title", "c0", "c1", "c2", "c3"]
    assert [cell.get("execution_count") for cell in stored["cells"]] == [None, 1, 2, None, 3]
    assert not any(cell["metadata"] for cell in stored["cells"])
    stream, shown = stored["cells"][1]["outputs"], stored["cells"][4]["outputs"]
    assert [output["text"] for output in stream] == [["42\n", "x\n"]]
    assert shown[0]["data"]["text/plain"] == ["'值'"] and "值" in text
    assert run(root, "1").returncode == 0 and path.read_text("utf-8") == text


@pytest.mark.parametrize("word", ["--check", "--quick"])
def test_check_and_quick_leave_the_file_and_quick_is_seen(small, word):
    quick = "import os\nassert os.environ.get('TINYGRAD_LLM_QUICK') == "
    root = small("01_a.ipynb", quick + ("'1'" if word == "--quick" else "None"))
    path = root / "notebooks" / "01_a.ipynb"
    before = path.read_bytes()
    done = run(root, word)
    assert done.returncode == 0 and "1 cells, 0 figures" in done.stdout, done.stdout
    assert path.read_bytes() == before


def test_notebooks_that_are_amiss_are_named_and_not_stored(small):
    after = "open('after', 'a').write('x')"
    small("01_a.ipynb", "x = 1", "1 / 0  # why\n", after)
    small("02_b.ipynb", "", "x = 1", "import os; os._exit(3)", after)
    small("03_c.ipynb", "import warnings; warnings.warn('old')", after)
    root = small("04_d.ipynb", "import os\nos.getcwd()", after)
    small("05_good.ipynb", "x = 1")
    before = [path.read_bytes() for path in sorted((root / "notebooks").glob("0[1-4]*"))]
    done = run(root)
    assert done.returncode == 1 and done.stderr == ""
    said = re.sub(r"\d+\.\d s", "# s", " ".join(done.stdout.split()))
    for line in (
        "01 a: 3 cells, 0 figures, # s, FAIL "
        "code cell 2 (1 / 0 # why) stopped: ZeroDivisionError: division by zero ",
        "02 b: 3 cells, 0 figures, # s, FAIL code cell 2 (import os; os._exit(3)) ended the kernel",
        "03 c: 2 cells, 0 figures, # s, FAIL code cell 1 (import warnings; warnings.warn('old')) "
        "wrote to stderr: ",
        "04 d: 2 cells, 0 figures, # s, FAIL code cell 1 (import os) shows a ",
        "05 good: 1 cells, 0 figures, # s, PASS",
    ):
        assert line in said
    assert (root / "after").read_text() == "xx", "a cell ran after one that failed"
    assert before == [path.read_bytes() for path in sorted((root / "notebooks").glob("0[1-4]*"))]


@pytest.mark.parametrize(
    "shown, fault",
    [
        (f"in {ROOT}", f"shows a folder of this machine: {ROOT}"),
        ("see /home/ada/x.txt", "shows a path of this machine: /home/ada/x.txt"),
        ("'C:\\\\Users\\\\ada'", "shows a path of this machine: C:"),
        ("[<a.B object at 0x7f0123456789>]", "shows an object's address: <a.B object at 0x7f"),
        ("1/home, https://a.org/home/b, a ratio: 3/4, x:y, ./tmp/x", None),
    ],
)
def test_no_output_shows_the_machine(shown, fault):
    picture = {"image/png": "/home/" + "A" * 50, "text/plain": shown}
    for output in (
        nbformat.v4.new_output("stream", name="stdout", text=f"fine\n{shown}\n"),
        nbformat.v4.new_output("execute_result", data=picture, execution_count=1),
    ):
        cell = nbformat.v4.new_code_cell("x\ny", outputs=[output])
        found = list(contents.faults(nbformat.v4.new_notebook(cells=[cell])))
        assert len(found) == (fault is not None)
        assert fault is None or found[0].startswith(f"code cell 1 (x) {fault}")


def test_the_kernel_is_this_python_without_the_users_settings(small, tmp_path):
    home = tmp_path / "home"
    startup = home / ".ipython" / "profile_default" / "startup"
    kernel = home / ".local" / "share" / "jupyter" / "kernels" / "python3"
    config = home / ".config" / "matplotlib"
    for folder in (startup, kernel, config):
        folder.mkdir(parents=True)
    (startup / "00.py").write_text("planted = 1")
    (home / "startup.py").write_text("planted = 1")
    (config / "matplotlibrc").write_text("lines.linewidth: 77")
    spec = {"argv": ["/no/such/python"], "display_name": "x", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    root = small(
        "01_a.ipynb",
        f"import sys, os; assert sys.executable == {sys.executable!r}",
        f"assert os.getcwd() == {os.path.realpath(tmp_path)!r}",
        "assert 'planted' not in globals()",
        "import matplotlib; assert matplotlib.rcParams['lines.linewidth'] < 77",
    )
    cache = {"MPLCONFIGDIR": ""} if "MPLCONFIGDIR" in os.environ else {}
    jupyter = {"JUPYTER_PATH": str(kernel.parents[1])}
    done = run(root, HOME=str(home), PYTHONSTARTUP=str(home / "startup.py"), **jupyter, **cache)
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr


def test_a_kernel_that_does_not_start_is_told(small):
    root = small("01_a.ipynb", "x = 1")
    (root / "ipykernel_launcher.py").write_text("raise SystemExit('the lamp is out')")
    done = run(root)
    assert done.returncode == 1 and done.stderr == ""
    said = " ".join(done.stdout.split())
    assert "FAIL no kernel started: " in said and said.endswith("the lamp is out")


@pytest.mark.parametrize("when", ["starting", "running"])
def test_ctrl_c_ends_with_one_line_and_130_and_no_kernel_left(small, when):
    source = "import os, time\nopen('kernel', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    root = small("01_slow.ipynb", source)
    if when == "starting":
        (root / "ipykernel_launcher.py").write_text(source)
    small("02_next.ipynb", "x = 1")
    process = subprocess.Popen(
        [sys.executable, "-m", "notebooks"], cwd=root, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not _read(root / "kernel") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "stopped by Ctrl-C" and out == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(_read(root / "kernel")), 0)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    "text, reason",
    [
        ("no json", "Expecting value"),
        ("[]", "it does not name this format"),
        ('{"nbformat": 3, "nbformat_minor": 0, "worksheets": []}', "it does not name"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}', ""),
        (json.dumps(TWINS), "two cells have the same id"),
    ],
)
def test_a_file_that_is_no_notebook_is_named(small, text, reason):
    root = small("01_a.ipynb", "x = 1")
    (root / "notebooks" / "01_a.ipynb").write_text(text)
    done = run(root)
    assert done.returncode == 1 and done.stderr == ""
    said = " ".join(done.stdout.split())
    assert said.startswith("01 a: FAIL 01_a.ipynb is no notebook of format 4: ") and reason in said


def test_cells_without_ids_get_the_same_ones_every_time(small):
    root = small("01_a.ipynb", "x = 1")
    path = root / "notebooks" / "01_a.ipynb"
    old = json.loads(path.read_text("utf-8")) | {"nbformat_minor": 4}
    for cell in old["cells"]:
        del cell["id"]
    path.write_text(json.dumps(old))
    assert [cell.id for cell in contents.read(path).cells] == ["cell-01", "cell-02"]


@pytest.mark.parametrize(
    "words, missing, complaint",
    [
        (["99"], None, "there is no notebook 99; there are: "),
        (["--fast"], None, "unrecognized arguments: --fast"),
        (["1"], "nbclient", "nbclient is not installed: pip install -e '.[notebooks]'"),
        ([], "ipykernel", "ipykernel is not installed: pip install -e '.[notebooks]'"),
    ],
)
def test_wrong_usage_gets_one_line(words, missing, complaint, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: name != missing or None)
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    out, errors = capsys.readouterr()
    assert ended.value.code == 2 and out == ""
    assert len(errors.splitlines()) == 1 and complaint in errors
    assert errors.startswith("python -m notebooks: ")


def test_help_names_the_variable_of_quick_mode():
    done = run(HERE.parent, "--help", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "TINYGRAD_LLM_QUICK=1" in done.stdout
