"""Tests of the command as a whole: help, how it ends, its start, and `tinygrad-llm info`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_llm
from tests.cli.folders import save_gpt
from tinygrad_llm.cli import main

ROOT = Path(__file__).parents[2]
COMMANDS = ("pretrain", "generate", "finetune", "evaluate", "predict", "info")
NEEDED = {"generate": ["--model", "x"], "evaluate": ["--model", "x", "--data", "y"]}
NEEDED["predict"] = NEEDED["generate"]


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=str)
def test_the_help_fits_80_columns(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*words, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.startswith(" ".join(["usage: tinygrad-llm", *words]))
    assert max(map(len, out.splitlines())) <= 80
    assert all(name in out for name in COMMANDS if not words)


@pytest.mark.parametrize("words", [[], ["write"], ["info", "--loud"], ["generate"]], ids=str)
def test_wrong_usage_is_one_line_and_exit_code_2(words, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tinygrad-llm") and err.count("\n") == 1


def test_examples_in_the_help_are_understood(monkeypatch, capsys):
    ran = []
    for name in COMMANDS[:-1]:
        module = import_module(f"tinygrad_llm.cli.{name}")
        monkeypatch.setattr(module, "run", lambda arguments: ran.append(arguments) or 0)
    for words in ([], *([name] for name in COMMANDS)):
        main([*words, "--help"])
    text = capsys.readouterr().out.replace("\\\n", " ")
    examples = re.findall(r"^  tinygrad-llm (.*?)(?: < .*)?$", text, re.M)
    assert len(examples) == 17
    for example in examples:
        assert main(shlex.split(example)) == 0, example
    assert len(ran) == 17


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_every_command_has_a_row_in_the_readmes(readme):
    rows = re.findall(r"^\| `tinygrad-llm (\w+)", (ROOT / readme).read_text("utf-8"), re.M)
    assert sorted(rows) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("info: no\nluck"), 1, "tinygrad-llm info: no luck\n"),
        (TypeError("wrong kind"), 1, "tinygrad-llm info: wrong kind\n"),
        (
            FileNotFoundError(2, "No such file", "a.txt"),
            1,
            "tinygrad-llm info: a.txt: No such file\n",
        ),
        (FileNotFoundError("there is no b.txt"), 1, "tinygrad-llm info: there is no b.txt\n"),
        (FloatingPointError("loss is nan"), 1, "tinygrad-llm info: loss is nan\n"),
        (ValueError("a\x1b[31m\x85b"), 1, r"tinygrad-llm info: a\x1b[31m b" + "\n"),
        (
            MemoryError("no 9 GiB"),
            1,
            "tinygrad-llm info: there is not enough memory (no 9 GiB): end other programs\n",
        ),
        (KeyboardInterrupt(), 130, "\nstopped by Ctrl-C\n"),
        (SystemExit(143), 143, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_ends_a_command_has_its_exit_code(error, code, said, monkeypatch, capsys):
    def fail(arguments):
        raise error

    monkeypatch.setattr("tinygrad_llm.cli.info.run", fail)
    assert main(["info"]) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("pretrain", ["--batch-size", "--block-size"]),
        ("generate", ["--num-beams", "--num-return-sequences"]),
        ("finetune", ["--batch-size", "--max-length"]),
        ("evaluate", ["--batch-size"]),
        ("predict", ["--batch-size"]),
    ],
)
def test_where_memory_ends_flags_to_lower_are_named(command, flags, monkeypatch, capsys):
    def fail(arguments):
        raise MemoryError

    monkeypatch.setattr(f"tinygrad_llm.cli.{command}.run", fail)
    assert main([command, *NEEDED.get(command, [])]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and "not enough memory: lower" in err
    assert all(flag in err for flag in flags)


def test_a_bug_is_not_hidden(monkeypatch):
    monkeypatch.setattr("tinygrad_llm.cli.info.run", lambda arguments: [][0])
    with pytest.raises(IndexError):
        main(["info"])


def test_the_script_is_installed_under_its_name():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    module, name = re.search(r'^tinygrad-llm = "(.*):(.*)"$', text, re.M).groups()
    assert getattr(import_module(module), name) is main


def python(*words: str, **how) -> subprocess.Popen:
    """A process whose output is buffered, in an encoding that knows no Chinese."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}
    environment.pop("PYTHONUNBUFFERED", None)
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
    )


def test_help_imports_neither_models_nor_pictures():
    program = (
        "import sys; from tinygrad_llm.cli import main; code = main(['--help'])\n"
        "slow = ('models', 'nn', 'tokenizers', 'training', 'generation', 'data', 'plot')\n"
        "assert not {f'tinygrad_llm.{name}' for name in slow} & sys.modules.keys(), 'slow'\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sys.exit(code)"
    )
    process = python("-c", program)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"") and b"generate" in out


@pytest.fixture(scope="module")
def talkative(tmp_path_factory) -> list[str]:
    """A command that writes for some seconds."""
    folder = save_gpt(tmp_path_factory.mktemp("gpt"), "characters", n_positions=20_000)
    more = ["--prompt", "雨", "--max-new-tokens", "20000"]
    return ["-m", "tinygrad_llm.cli", "generate", "--model", folder, *more]


def test_a_pipe_that_closes_ends_it_quietly(talkative):
    process = python(*talkative)
    assert len(process.stdout.read(9)) == 9
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_pipe_that_nobody_reads_ends_it_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    process = python("-m", "tinygrad_llm.cli", "info", stdout=writer)
    os.close(writer)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 141


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_ends_the_line_and_the_command(talkative):
    process = python(*talkative, start_new_session=True)
    begun = process.stdout.read(9)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (begun + rest).decode("utf8").startswith("雨") and rest.endswith(b"\n")
    assert err == b"\nstopped by Ctrl-C\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such shell there")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_streams_may_be_closed(closed, tmp_path):
    words = ["-m", "tinygrad_llm.cli", "generate", "--model", save_gpt(tmp_path)]
    line = shlex.join([sys.executable, *words, "--max-new-tokens", "2"])
    done = subprocess.run(
        f"{line} {closed}", shell=True, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (closed != ">&-")


def test_info_names_versions_blas_and_processor(monkeypatch, capsys):
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["info"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "warning" not in out
    facts = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines())
    assert facts["tinygrad_llm"] == tinygrad_llm.__version__
    assert facts["NumPy"] == np.__version__
    assert facts["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert re.fullmatch(r".+, core .+, (\d+ threads?|\? threads)", facts["BLAS"])
    assert re.fullmatch(r".+, \d+ cores", facts["processor"])
    assert facts["CuPy"] == "not installed: everything runs on the CPU"


def test_info_warns_of_what_holds_openblas_back(monkeypatch, capsys):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")
    assert main(["info"]) == 0
    warning = capsys.readouterr().out.partition("warning: ")[2]
    assert "OPENBLAS_CORETYPE=Haswell and OPENBLAS_L2_SIZE=512" in warning and "unset" in warning
    monkeypatch.setenv("OPENBLAS_CORETYPE", "")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "")
    assert main(["info"]) == 0
    assert "warning" not in capsys.readouterr().out


class NoDriver(Exception):
    pass


def cupy(count) -> SimpleNamespace:
    """A CuPy that finds GPUs as `count` says."""
    each = {"name": b"Some GPU", "totalGlobalMem": 24 * 2**30}
    runtime = SimpleNamespace(
        CUDARuntimeError=NoDriver, getDeviceCount=count, getDeviceProperties=lambda number: each
    )
    return SimpleNamespace(__version__="14.0.0", cuda=SimpleNamespace(runtime=runtime))


def test_info_lists_gpus_or_says_why_there_are_none(monkeypatch, capsys):
    def no_driver():
        raise NoDriver("no driver")

    monkeypatch.setitem(sys.modules, "cupy", cupy(lambda: 2))
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "CuPy          14.0.0" in lines and "  cuda:1      Some GPU, 24 GiB" in lines
    monkeypatch.setitem(sys.modules, "cupy", cupy(no_driver))
    assert main(["info"]) == 0
    assert "14.0.0, which finds no usable GPU (no driver)" in capsys.readouterr().out
