"""What the tests of `tinygrad-llm finetune` share: how it is called, and how it refuses."""

from __future__ import annotations

from tinygrad_llm._text import width
from tinygrad_llm.cli import main

SMALL = ["--epochs", "3", "--batch-size", "16", "--learning-rate", "0.01"]


def finetune(*words: str) -> int:
    return main(["finetune", *words])


def tuned(capsys, *words: str) -> str:
    """What is printed, when all goes well; it fits a terminal."""
    assert finetune(*words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line for line in out.splitlines() if "/" not in line]  # names of files may be long
    assert [line for line in lines if width(line) > 80] == []
    return out


def refused(capsys, code: int, *words: str) -> str:
    assert finetune(*words) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("tinygrad-llm finetune: ")
    return err.removeprefix("tinygrad-llm finetune: ").rstrip("\n")
