"""Tests of the course: its chapters in quick mode, its runner and what they stand on."""

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

import pytest

from chapters import lesson, options, text
from chapters.__main__ import main
from chapters.catalogue import HERE, ROOT, chapter, chapters, chapters_of, load

SMALL = '''"""A chapter of one claim."""
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from chapters.lesson import begin
lesson = begin(__file__, seconds=(1, 1))
lesson.claim("half", "one half", 0.5, below=("one", 1.0), scale="linear")
{extra}
lesson.close()
'''


def copy_of_the_course(folder: Path) -> Path:
    """A root of its own with everything of chapters/ but figures."""
    unwanted = shutil.ignore_patterns("out", "__pycache__")
    shutil.copytree(HERE, folder / "chapters", ignore=unwanted)
    return folder


def run(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """`python words` in a root, with its output as text."""
    command = [sys.executable, *words]
    env = os.environ | {"PYTHONUTF8": "1"} | environment
    return subprocess.run(command, cwd=root, env=env, capture_output=True, encoding="utf-8")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return copy_of_the_course(tmp_path_factory.mktemp("course"))


@pytest.fixture
def small(tmp_path):
    """A root with the machinery of the course and no chapter; call it to add one."""
    root = copy_of_the_course(tmp_path)
    for each in chapters():
        (root / "chapters" / each.path.name).unlink()
    band = {"half": {"scale": "linear", "low": 0.5, "high": 0.5, "values": [0.5]}}
    modes = {mode: {"claims": band} for mode in ("quick", "default")}
    bands = {"chapters": dict.fromkeys(("01", "02", "03a"), modes)}
    (root / "chapters" / "bands.json").write_text(json.dumps(bands))

    def add(name: str, extra: str = "") -> Path:
        (root / "chapters" / name).write_text(SMALL.format(extra=extra))
        return root

    return add


# The chapters themselves


@pytest.mark.parametrize("which", chapters(), ids=lambda each: each.number)
def test_quick_run_holds_its_claims_and_draws_its_figures(course, which):
    done = run(course, f"chapters/{which.path.name}", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.sub("Matplotlib is building the font cache.*\n", "", done.stderr)
    last = done.stdout.splitlines()[-1]
    good, made = re.match(rf"Chapter {which.number}: (\d+) of (\d+) claims hold, ", last).groups()
    assert good == made == str(done.stdout.count("PASS  ")) and int(made) >= 10
    assert max(map(text.width, done.stdout.splitlines())) <= text.WIDTH
    figures = re.findall(r"^Figure: (\S+)$", done.stdout, re.MULTILINE)
    assert figures and len(figures) == len(set(figures))
    for figure in figures:
        data = (course / figure).read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("which", chapters(), ids=lambda each: each.number)
def test_quick_run_takes_the_path_of_a_device(course, which):
    path = str(course / "chapters" / which.path.name)
    program = (
        "import runpy, sys; from tinygrad_llm.testing.strict_cupy import installed\n"
        f"sys.argv = [{path!r}, '--quick', '--device', 'cuda']\n"
        f"with installed(): runpy.run_path({path!r}, run_name='__main__')"
    )
    done = run(course, "-c", program)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("which", chapters(), ids=lambda each: each.number)
def test_chapter_has_the_form_of_a_lesson(which):
    source = which.path.read_text("utf-8")
    lines = source.splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert len(code) <= 350
    cells = re.split(r"^# %%", source, flags=re.MULTILINE)
    prose = [cell for cell in cells if cell.startswith(" [markdown]")]
    assert len(prose) > 5 and all("**中文导读** " in cell for cell in prose)
    for exercise in load(which.exercises, "exercises").EXERCISES:
        assert f"`{exercise.signature}`" in prose[-1]


def test_glossary_has_the_terms_that_chapters_introduce():
    rows = (HERE / "glossary.md").read_text("utf-8").splitlines()
    known = [[cell.strip() for cell in row.split("|")[1:4]] for row in rows if row.startswith("|")]
    assert all(len(row) == 3 and all(row) for row in known)
    chinese = {row[1].partition("（")[0] for row in known}
    for which in chapters():
        prose = which.path.read_text("utf-8").replace("\n# ", " ")
        terms = re.findall(r"\*\*[^*]+\*\* \(([\u4e00-\u9fff–]+)", prose)
        assert len(terms) > 10 and not set(terms) - chinese


# The runner


def test_runner_prints_a_line_a_chapter_and_a_table(small):
    small("03a_second.py")
    root = small("01_first_words.py")
    done = run(root, "-m", "chapters", "--quick", "--data", ".")
    assert done.returncode == 0 and done.stderr == ""
    lines = re.sub(r"\d+\.\d\b", "#", done.stdout).splitlines()
    note = "  Chapter {} has no use for --data: it makes its own numbers."
    assert lines[:5] == [
        "01 first words: 1/1 claims, # s, PASS", note.format("01"),
        "03a second: 1/1 claims, # s, PASS", note.format("03a"), "",
    ]  # fmt: skip
    assert [line.split("  ")[-1] for line in lines[5:10]] == [
        "verdict", "───────", "PASS", "PASS", "PASS",
    ]  # fmt: skip
    assert lines[11:] == [
        "Learn:     read the file beside its output,",
        "           python chapters/01_first_words.py",
        "Figures:   chapters/out",
        "Terms:     chapters/glossary.md; when training fails: chapters/failures.md",
    ]
    assert run(root, "-m", "chapters", "3A").stdout.startswith("03a second: 1/1 claims")


def test_a_chapter_that_stops_is_named_and_the_others_run(small):
    small("01_broken.py", "raise ValueError('the lamp is out')")
    root = small("02_whole.py")
    done = run(root, "-m", "chapters")
    assert done.returncode == 1
    assert "  it stopped: ValueError: the lamp is out\n" in done.stdout
    assert "  see all: python chapters/01_broken.py\n" in done.stdout
    assert "02 whole: 1/1 claims" in done.stdout


def test_a_chapter_of_its_own_fails_by_its_exit_code(small):
    root = small("01_small.py", "lesson.claim('new', 'news', 0.5, below=('one', 1.0))")
    done = run(root, "chapters/01_small.py")
    assert done.returncode == 1
    assert "FAIL  news\n" in done.stdout and "1 of 2 claims hold" in done.stdout


def test_a_chapter_that_stops_counts_what_it_would_have_claimed(small):
    root = small("01_first.py", "def broken(:")
    small("02_lost.py", "import no_such_module")
    done = run(root, "-m", "chapters")
    assert "01 first: 0/1 claims" in done.stdout and "FAIL" in done.stdout
    assert "invalid syntax, in 01_first.py, line 8" in " ".join(done.stdout.split())
    assert "'no_such_module': use .venv/bin/python, or" in " ".join(done.stdout.split())


def test_a_figure_that_cannot_be_written_is_a_note_and_the_chapter_goes_on(small):
    extra = "from tinygrad_llm import plot; lesson.figure(plot.curves([1], {}, '', '', ''), 'f')"
    root = small("01_small.py", extra)
    (root / "chapters" / "out").write_text("a file where the folder would be")
    done = run(root, "-m", "chapters")
    assert done.returncode == 0
    assert "chapters/out/01_f.png could not be written (File exists)" in done.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="pipes end otherwise on Windows")
def test_a_reader_who_leaves_ends_the_chapter_without_a_word(course):
    command = f"{sys.executable} chapters/01_tensors_and_autograd.py --quick | head -n 1"
    done = subprocess.run(command, shell=True, cwd=course, capture_output=True, text=True)
    assert done.stdout.startswith("Chapter 01") and done.stderr == ""


def test_a_forgotten_chapter_number_is_asked_for(course):
    done = run(course, "-m", "chapters", "check", "right.py")
    assert done.returncode == 2 and "python -m chapters check 02 right.py" in done.stderr


def test_planted_bands_make_the_run_fail(course, tmp_path):
    root = copy_of_the_course(tmp_path)
    path = root / "chapters" / "bands.json"
    bands = json.loads(path.read_text("utf-8"))
    claims = bands["chapters"]["01"]["quick"]["claims"]
    claims["accumulate"]["high"] = claims["accumulate"]["low"]
    claims["forgotten"] = claims.pop("newton")
    path.write_text(json.dumps(bands))
    done = run(root, "-m", "chapters", "1", "--quick")
    assert done.returncode == 1
    assert re.search(r"^01 tensors and autograd: 14/17 claims, .* FAIL$", done.stdout, re.MULTILINE)
    assert re.search(
        r"FAIL  F48: x·x, adding: error\n.*\n +FAIL because the value lies", done.stdout
    )
    assert "FAIL because no band was measured" in done.stdout
    assert "FAIL because the chapter has lost this claim" in done.stdout


@pytest.mark.parametrize(
    "asked, found", [("3", ["03a", "03b"]), ("03", ["03a", "03b"]), ("3b", ["03b"]), ("1", ["01"])]
)
def test_a_chapter_in_parts_is_all_of_them(asked, found):
    assert [each.number for each in chapters_of(asked)] == found


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["99"], "there is no chapter 99; there are: 01"),
        (["1", "--seed", "-1"], "--seed: -1 is negative"),
        (["1", "--data", "no/such"], "--data: there is no file or folder no/such"),
        (["1", "--device", "tpu"], "--device: unknown device 'tpu'"),
        (["1", "--fast"], "unrecognized arguments: --fast"),
        (["check", "99", "x.py"], "there is no chapter 99; there are: 01"),
        (["check", "1", "no_such.py"], "there is no file no_such.py"),
        (["check", "3", "x.py"], "chapter 3 is 03a and 03b; say which"),
        (["check", "1", "chapters"], "chapters is a folder; give the Python file"),
        (["check", "1", "x.py", "--timeout", "0"], "--timeout: 0 is no time"),
        (["check", "1"], "the following arguments are required: my_solution.py"),
    ],
)
def test_wrong_usage_gets_one_line(words, complaint, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, errors = capsys.readouterr()
    assert ended.value.code == 2 and out == ""
    assert len(errors.splitlines()) == 1 and complaint in errors
    assert errors.startswith("python -m chapters")


def test_help_passes_where_the_terminal_knows_ascii_alone():
    done = run(
        ROOT, "-m", "chapters", "--help", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C"
    )
    assert done.returncode == 0 and "check NN my_solution.py" in done.stdout


@pytest.mark.parametrize("words", [["-m", "chapters"], ["chapters/01_slow.py"]], ids=" ".join)
def test_ctrl_c_ends_with_one_line_and_130(small, tmp_path, words):
    started, ended = tmp_path / "started", tmp_path / "ended"
    extra = f"import time; open({str(started)!r}, 'w'); time.sleep(60); open({str(ended)!r}, 'w')"
    root = small("01_slow.py", extra)
    process = subprocess.Popen(
        [sys.executable, *words], cwd=root, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == "stopped by Ctrl-C"
    assert not ended.exists()


def test_ctrl_c_that_reaches_the_chapter_alone_ends_the_run_too(small):
    root = small("01_small.py", "import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    small("02_next.py")
    done = run(root, "-m", "chapters")
    assert done.returncode == 130 and done.stderr.strip() == "stopped by Ctrl-C"
    assert "02 next" not in done.stdout


# The pieces


def test_a_claim_needs_one_baseline_and_a_key_of_its_own():
    made = lesson.begin(str(chapter("1").path), seconds=(1, 1))
    with pytest.raises(ValueError, match="claim a: give one baseline"):
        made.claim("a", "text", 1.0)
    with pytest.raises(ValueError, match="claim a: give one baseline"):
        made.claim("a", "text", 1.0, below=("x", 2.0), above=("y", 0.0))
    made.claim("a", "text", 1.0, below=("x", 2.0))
    with pytest.raises(ValueError, match="the key is taken"):
        made.claim("a", "text", 1.0, below=("x", 2.0))


def test_options_reach_a_chapter_as_they_were_given():
    parser = options.Parser()
    options.add_options(parser)
    words = ["--device", "cuda:1", "--seed", "7", "--quick", "--data", "a b"]
    assert options.given(parser.parse_args(words)) == words
    assert options.given(parser.parse_args([])) == ["--device", "cpu", "--seed", "0"]


@pytest.mark.parametrize("said, threads", [({}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, None)])
def test_a_chapter_keeps_matrix_products_in_one_thread_unless_told_else(said, threads):
    program = (
        "from chapters import options; from tinygrad_llm.cli.machine import numpy_blas\n"
        "before = numpy_blas()['threads']; options.one_blas_thread()\n"
        "print(before, numpy_blas()['threads'])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"} | said
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    before, after = done.stdout.split()
    assert after == (before if threads is None or before == "?" else "1")
