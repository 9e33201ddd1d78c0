"""Tests of the printed table of formulas and of the command that prints it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tinygrad_llm._text import width as columns
from tinygrad_llm.formulas import CATALOGUE, Verdict
from tinygrad_llm.formulas.__main__ import main
from tinygrad_llm.formulas.marks import MarkedTest, marked_tests
from tinygrad_llm.formulas.table import counts, render, row, rows

COMMAND = [sys.executable, "-m", "tinygrad_llm.formulas"]


@pytest.mark.parametrize("width", [64, 80, 100, 120, 200])
def test_every_line_fits(width):
    lines = render(rows(marked_tests()), width).splitlines()
    assert len(lines) == 1 + len(CATALOGUE)
    assert max(map(columns, lines)) <= width
    assert all(line.startswith(f"{name}  ") for line, name in zip(lines[1:], CATALOGUE))


def test_wide_terminals_show_everything():
    assert "…" not in render(rows(marked_tests()), 400)


def test_a_row_names_the_test_that_holds_the_formula_first():
    tests = [MarkedTest("test_b", ("F08", "F07"), False), MarkedTest("test_a", ("F07",), True)]
    assert row(CATALOGUE["F07"], tests)[-2:] == ("a +1", "done")
    assert row(CATALOGUE["F08"], tests)[-2:] == ("b", "done")
    assert row(CATALOGUE["F09"], tests)[-2:] == ("-", "open")


def test_without_tests_at_hand_nothing_is_called_done():
    lines = rows(None)
    assert {line[-1] for line in lines} <= {"-", "open"}
    assert {line[-2] for line in lines} == {"-"}
    assert "0 done" in counts(lines) and "no tests at hand" in counts(lines)


def test_marks_are_read_from_test_files(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "import pytest\n\n"
        '@pytest.mark.formula("F07", "F08")\ndef test_one(hold): ...\n\n'
        '@pytest.mark.slow\n@pytest.mark.formula("G01")\ndef test_two(seed): ...\n\n'
        "@pytest.mark.slow\ndef test_three(): ...\n",
        encoding="utf-8",
    )
    expected = [("test_one", ("F07", "F08"), True), ("test_two", ("G01",), False)]
    assert marked_tests(tmp_path) == [MarkedTest(*test) for test in expected]
    assert marked_tests(tmp_path / "absent") is None


@pytest.mark.parametrize("state", ["done", "open"])
def test_main_prints_one_state_and_the_counts_of_all(capsys, monkeypatch, state):
    monkeypatch.setenv("COLUMNS", "120")
    assert main([f"--{state}"]) == 0
    table, legend, last = capsys.readouterr().out.split("\n\n")
    lines = table.splitlines()
    assert all(any(line.startswith(v.value) for line in legend.splitlines()) for v in Verdict)
    done, open_ = map(int, re.fullmatch(r"124 formulas: (\d+) done, (\d+) open\n", last).groups())
    assert done + open_ == 124
    assert len(lines) == 1 + (done if state == "done" else open_)
    assert all(line.endswith(state) for line in lines[1:])


def test_command_runs_and_survives_ascii():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "120"}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.split("\n\n")[0].splitlines()) == 1 + 124


def test_a_closed_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(COMMAND, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_ids_show_all_that_is_known_of_them(capsys):
    assert main(["F07", "G01"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "F07  error at the output",
        "WRONG: false as printed",
        "000 §4.1.2",
        "printed:",
        "G01",
        "mistake:",
    ):
        assert text in shown
    assert "test_f07_output_error_holds_the_derivative_once" in shown


def test_an_unknown_id_is_one_clear_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["F99"])
    assert "there is no formula F99: ids are F01 to F90" in capsys.readouterr().err
