"""What tests of the grading of exercises share: the exercises, and what an answer fails with."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chapters.catalogue import HERE, load
from chapters.checks import Exercise, Failure


def exercises(chapter: str) -> dict[str, Exercise]:
    """The exercises of a chapter by name; chapter: the name of its file without ".py"."""
    found = load(HERE / "exercises" / f"{chapter}.py", f"exercises_{chapter[:2]}").EXERCISES
    return {each.name: each for each in found}


def solutions(chapter: str) -> ModuleType:
    """The module of the chapter's solutions."""
    return load(HERE / "solutions" / f"{chapter}.py", f"solutions_{chapter[:2]}")


def failure(exercise: Exercise, answer: Any) -> Failure:
    """What an answer to an exercise fails with."""
    with pytest.raises(Failure) as caught:
        grade(exercise, answer)
    return caught.value


def grade(exercise: Exercise, answer: Any) -> None:
    """Test an answer as if it stood in mine.py; raises Failure."""
    exercise.run(answer, Path("mine.py"), started=lambda call: None)
