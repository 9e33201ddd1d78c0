"""Tests of the grading of exercises: right answers pass, each wrong one fails with its smallest
input, and no file that a reader hands in can hang or crash it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from chapters import grading
from chapters.catalogue import ROOT, chapter, chapters, load
from chapters.checks import show
from chapters.grader import MOST_PRINTED, Printed
from tests.grading_tools import exercises, failure, grade
from tinygrad_llm.ops import OPS, Op

FIRST = chapter("01")
EXERCISES = exercises("01_tensors_and_autograd")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Ops that answers define leave the registry again."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


def check(file: Path, *words: str) -> subprocess.CompletedProcess:
    """`python -m chapters check 01 file words`, with its output as text."""
    command = [sys.executable, "-m", "chapters", "check", "01", str(file), *words]
    environment = os.environ | {"PYTHONUTF8": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")


@pytest.fixture
def written(tmp_path):
    """Write a reader's file and return its path."""

    def write(source: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(source, "utf-8")
        return path

    return write


# Answers


@pytest.mark.parametrize("which", chapters(), ids=lambda each: each.number)
def test_the_solution_passes(which):
    done = subprocess.run(
        [sys.executable, "-m", "chapters", "check", which.number, str(which.solution)],
        cwd=ROOT, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    tested = load(which.exercises, "exercises").EXERCISES
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[1:-2] == [f"PASS    {each.signature}" for each in tested]
    assert done.stdout.endswith(f"{len(tested)} of {len(tested)} exercises pass\n")


def shifted_in_place(f, x, h):
    x[...] = x + h
    return np.zeros(x.shape)


def without_accumulation(tape):
    gradients = [0.0] * len(tape)
    gradients[-1] = 1.0
    for node in reversed(range(len(tape))):
        for used, slope in tape[node]:
            gradients[used] = gradients[node] * slope
    return gradients


def forwards(tape):
    gradients = [0.0] * len(tape)
    gradients[-1] = 1.0
    for node in range(len(tape)):
        for used, slope in tape[node]:
            gradients[used] += gradients[node] * slope
    return gradients


def quotient(width):
    def difference(f, x, h):
        g = np.empty(x.shape)
        for i in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[i] = h
            g[i] = (f(x + step) - f(x - width * step)) / ((1 + width) * h)
        return g

    return difference


WRONG = [
    (
        "softplus_gradient",
        lambda x: np.exp(x) / (1 + np.exp(x)),
        r"softplus_gradient\(np.array\(\[7\d\d\.0\]\)\)",
        r"the gradient is np.array\(\[nan\]\), expected np.array\(\[1.0\]\)",
    ),
    (
        "softplus_gradient",
        lambda x: 1.0 * (x > 0),
        r"softplus_gradient\(np.array\(\[0.0\]\)\)",
        r"is np.array\(\[0.0\]\), expected np.array\(\[0.5\]\)",
    ),
    (
        "softplus_gradient",
        lambda x: (1 / (1 + np.exp(-x))).ravel(),
        r"softplus_gradient\(np.array\(\[\[0.0\]\]\)\)",
        r"the gradient has shape \(1,\), expected \(1, 1\)",
    ),
    (
        "softplus_gradient",
        lambda x: [["?"]],
        r"softplus_gradient\(np.array\(\[0.0\]\)\)",
        r"the gradient is a list, expected np.array\(\[0.5\]\)",
    ),
    (
        "central_difference",
        quotient(0.0),
        r"central_difference\(lambda x: \(x \* x\).sum\(\), np.array\(\[0.0\]\), 0.1\)",
        r"the gradient is np.array\(\[0.1\d*\]\), expected np.array\(\[0.0\]\)",
    ),
    (
        "central_difference",
        shifted_in_place,
        r"central_difference\(lambda x: \(x \* x\).sum\(\), np.array\(\[0.0\]\), 0.1\)",
        r"it changes its input: np.array\(\[0.0\]\) has become np.array\(\[0.1\]\)",
    ),
    (
        "central_difference",
        lambda f, x, h: quotient(1.0)(f, x, h / 2),
        r"central_difference\(lambda x: \(x \*\* 3\).sum\(\), np.array\(\[0.0\]\), 0.1\)",
        r"the gradient is np.array\(\[0.0025\d*\]\), expected np.array\(\[0.01\d*\]\)",
    ),
    (
        "backward",
        without_accumulation,
        r"backward\(\[\[\], \[\(0, 1.0\), \(0, 0.0\)\]\]\)",
        r"the list of gradients is \[0.0, 1.0\], expected \[1.0, 1.0\]",
    ),
    (
        "backward",
        forwards,
        r"backward\(\[\[\], \[\(0, 1.0\)\], \[\(1, 1.0\)\]\]\)",
        r"is \[0.0, 1.0, 1.0\], expected \[1.0, 1.0, 1.0\]",
    ),
    (
        "backward",
        lambda tape: tape.append([]) or [1.0],
        r"backward\(\[\[\]\]\)",
        r"it changes its input: \[\[\]\] has become \[\[\], \[\]\]",
    ),
    ("backward", lambda tape: None, r"backward\(\[\[\]\]\)", "it returns None: is a return missin"),
    (
        "unbroadcast",
        lambda g, shape: g.sum(axis=tuple(range(g.ndim - len(shape)))),
        r"unbroadcast\(np.array\(\[0.0, 0.0\]\), \(1,\)\)",
        r"the gradient has shape \(2,\), expected \(1,\)",
    ),
    (
        "unbroadcast",
        lambda g, shape: np.resize(g, shape),
        r"unbroadcast\(np.array\(\[0.0, 1.0\]\), \((1,)?\)\)",
        r"the gradient is np.array\((\[0.0\]|0.0)\), expected np.array\((\[1.0\]|1.0)\)",
    ),
]  # fmt: skip


@pytest.mark.parametrize("name, answer, call, complaint", WRONG)
def test_a_wrong_answer_fails_with_its_smallest_input(name, answer, call, complaint):
    found = failure(EXERCISES[name], answer)
    assert re.fullmatch(call, found.call), found.call
    assert re.search(complaint, found.complaint), found.complaint


def swish(forward, backward):
    return type(
        "Swish", (Op,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    )


def right_forward(xp, x):
    return x / (1.0 + xp.exp(-x)), (x,)


def right_backward(xp, g, saved, needs):
    (x,) = saved
    s = 1.0 / (1.0 + xp.exp(-x))
    return g * s * (1.0 + x * (1.0 - s))


def saving_forward(xp, x):
    s = 1.0 / (1.0 + xp.exp(-x))
    return x * s, (x, s)


def numpy_backward(xp, g, saved, needs):
    return right_backward(np, g, saved, needs)


def greedy_forward(xp, x):
    x *= 1.0 / (1.0 + xp.exp(-x))
    return x, (x,)


@pytest.mark.parametrize(
    "answer, complaint",
    [
        (lambda: len, "Swish must be a class that inherits Op"),
        (lambda: swish(lambda xp, x: (x, (x,)), right_backward), r"y is \[1.0\], expected \[0.73"),
        (lambda: swish(right_forward, lambda xp, g, s, n: g * 0.0), r"g is \[0.0\], expected \[0."),
        (lambda: swish(right_forward, lambda xp, g, s, n: g[..., None]), "bug in the backward"),
        (lambda: swish(saving_forward, right_backward), "it saves an intermediate"),
        (lambda: swish(right_forward, numpy_backward), "does not support ufuncs"),
        (lambda: swish(greedy_forward, right_backward), "y is|it changes its input"),
    ],
)  # fmt: skip
def test_a_wrong_op_fails(answer, complaint):
    found = failure(EXERCISES["Swish"], answer())
    assert re.search(complaint, found.complaint), found.complaint
    assert len(found.call.splitlines()) <= 8
    if found.call != "Swish":
        assert found.call.startswith("import numpy as np\nfrom tinygrad_llm import Tensor, grad\n")


def test_the_right_op_passes():
    grade(EXERCISES["Swish"], swish(right_forward, right_backward))


@pytest.mark.parametrize(
    "value", [np.array(1.5), np.array([[1.0, -0.0]]), np.zeros((0, 3)), [(1, 2.0)]]
)
def test_inputs_are_shown_as_python_that_gives_them_back(value):
    back = eval(show(value), {"np": np})
    assert type(back) is type(value) and np.array_equal(back, value)


# Files


def test_a_file_of_many_faults(written):
    """Missing, raising, printing, fickle, ending the process, never finishing: in one file."""
    file = written(
        "import os\n"
        "os.write(1, b'{}\\n')\n"
        "print('loading')\n"
        "def softplus_gradient(x):\n"
        "    print('asked for', x)\n"
        "    return 1 / 0\n"
        "def central_difference(f, x, h):\n"
        "    while True:\n"
        "        x = x\n"
        "def backward(tape):\n"
        "    os._exit(7)\n"
        "asked = []\n"
        "def unbroadcast(g, shape):\n"
        "    asked.append(g)\n"
        "    return 1 / (len(asked) - 1)\n"
    )
    done = check(file, "--timeout", "1.5")
    assert done.returncode == 1
    assert done.stderr == "{}\n" * 3  # one for each process that loads the file
    assert done.stdout.splitlines() == [
        f"Chapter 01, 5 exercises, {file}",
        "        your code printed, while it loads:",
        "          | loading",
        "FAIL    softplus_gradient(x)",
        "        smallest input that fails:",
        "            softplus_gradient(np.array([0.0]))",
        "        it raises ZeroDivisionError: division by zero, in mine.py, line 6:",
        "        return 1 / 0",
        "        your code printed, in that call:",
        "          | asked for [0.]",
        "FAIL    central_difference(f, x, h)",
        "        it was running:",
        "            central_difference(lambda x: (x * x).sum(), np.array([0.0]), 0.1)",
        "        it did not finish within 1.5 s; it was in mine.py, line "
        + ("8: while True:" if "line 8:" in done.stdout else "9: x = x"),
        "FAIL    backward(tape)",
        "        it ended the process (exit code 7)",
        "FAIL    unbroadcast(g, shape)",
        "        smallest input that fails:",
        "            unbroadcast(np.array(0.0), ())",
        "        it gives different answers to the same input",
        "not yet written: Swish",
        "",
        "0 of 5 exercises pass",
    ]


@pytest.mark.parametrize(
    "source, complaint",
    [
        ("x = 1\ndef f(:\n    pass\n", "in mine.py, line 2: def f(:"),
        ("import no_such\n", "ModuleNotFoundError: No module named 'no_such', in mine.py, line 1"),
        ("raise SystemExit\n", "it raises SystemExit, in mine.py, line 1: raise SystemExit"),
        ("while True:\n    pass\n", "it did not finish within 0.5 s; it was in mine.py, line "),
        ("import os\nos._exit(0)\n", "it ended the process (exit code 0)"),
        ("x = '\0'\n", "null bytes"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_load_gets_one_line(written, source, complaint):
    done = check(written(source), "--timeout", "0.5")
    assert done.returncode == 1
    line = " ".join(done.stdout.splitlines()[1:])
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    assert line.startswith("it does not load: ") and complaint in line
    assert done.stderr == ""


def test_what_a_file_prints_before_it_fails_to_load_is_shown(written):
    done = check(written("print('so far')\n1/0\n"))
    assert done.stdout.splitlines()[1:] == [
        "        your code printed, while it loads:",
        "          | so far",
        "it does not load: it raises ZeroDivisionError: division by zero, in mine.py,",
        "line 2: 1/0",
    ]


def test_code_that_holds_the_interpreter_is_ended_from_outside(written, monkeypatch):
    monkeypatch.setattr(grading, "GRACE", 1.5)
    source = "import re\ndef backward(tape):\n    re.match(r'(a+)+$', 'a' * 64 + 'b')\n"
    reports = grading._reports(FIRST, written(source), 0.3, ["backward"])
    assert [report["verdict"] for report in reports] == ["PASS", "FAIL"]
    assert reports[1]["complaint"] == "it did not finish within 0.3 s"


def test_what_one_call_prints_is_kept_up_to_a_limit():
    printed = Printed()
    for _ in range(1000):
        print("12345678", file=printed)
    assert len(printed.getvalue()) == MOST_PRINTED
    printed.restart()
    print("again", file=printed)
    assert printed.getvalue() == "again\n"


def test_the_last_lines_that_a_call_prints_do_not_flood(capsys):
    report = {"verdict": "PASS", "printed": "\n".join(map(str, range(25)))}
    grading._print_verdict(EXERCISES["backward"], report)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + grading.MOST_LINES + 1
    assert lines[-1].strip() == "| … and more"


def test_a_long_line_and_a_text_that_was_cut_say_so(capsys):
    grading._print_printed("while it loads", "x" * MOST_PRINTED)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("x…") and len(lines[1]) == 80
    assert lines[2].strip() == "| … and more"


def test_standard_error_is_labelled(written):
    source = "import sys\nfor word in ('a', 'b\\n', 'c\\n'):\n    sys.stderr.write(word)\n"
    label = "your code, on standard error: "
    assert check(written(source)).stderr == f"{label}ab\n{label}c\n"


def test_ctrl_c_ends_grading_with_one_line_and_130(written, tmp_path):
    started = tmp_path / "started"
    source = (
        f"def backward(tape):\n    open({str(started)!r}, 'w')\n    while True:\n        pass\n"
    )
    file = written(source)
    process = subprocess.Popen(
        [sys.executable, "-m", "chapters", "check", "01", str(file)],
        cwd=ROOT, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == "stopped by Ctrl-C"
