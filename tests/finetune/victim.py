"""A fine-tuning to be killed: `python -m tests.finetune.victim METHOD FOLDER [KILL]`.

METHOD is one of `run_common.METHODS`. KILL says where the process ends itself by SIGKILL: at the
n-th time of "before rename:3", "after rename:2", "write:3" (half of a file is there under a
temporary name), "log:4" (half a row is written), "step:5", "judge:3" (all outputs of an evaluation
are there, and nothing of it is written), "delete:1" (a file is gone); or "seconds:0.4" after the
program began. A run that was begun goes on. At the end it prints what is in the folder.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.finetune.run_common import METHODS, hurry, run, trace
from tests.training import victim
from tinygrad_llm.finetune.card import escaped
from tinygrad_llm.finetune.judging import Judge
from tinygrad_llm.training.steps import Stepper

STEPS = 12


def arm(kill: str) -> None:
    """Plant the end of the process."""
    event, _, when = kill.partition(":")
    if event == "seconds":
        timer = threading.Timer(float(when), victim.die)
        timer.daemon = True
        timer.start()
        return
    countdown = victim.Countdown(int(when))
    if event.endswith("rename"):
        victim._around_rename(countdown, before=event.startswith("before"))
    elif event == "write":
        victim._in_the_middle_of_a_write(countdown)
    elif event == "log":
        victim._in_the_middle_of_a_row(countdown)
    elif event == "delete":
        _plant(Path, "unlink", countdown, first=False)
    else:
        owner, name = (Stepper, "step") if event == "step" else (Judge, "__call__")
        _plant(owner, name, countdown)


def _plant(owner: type, name: str, countdown: victim.Countdown, first: bool = True) -> None:
    """Count the calls of a method, before or after what it does."""
    real = getattr(owner, name)

    def planted(self: Any, *given: Any, **options: Any) -> Any:
        if first:
            countdown()
        done = real(self, *given, **options)
        if not first:
            countdown()
        return done

    setattr(owner, name, planted)


def main(method: str, home: str, kill: str = "") -> None:
    if kill:
        arm(kill)
    hurry(pytest.MonkeyPatch())
    begun = (Path(home) / "out" / "options.json").exists()
    found = run(Path(home), resume=begun, **METHODS[method])
    print(json.dumps(told(found.folder, home)))


def told(folder: Path, home: str) -> dict[str, Any]:
    """All in which two runs agree, wherever they are."""
    found = {"names": sorted(path.name for path in folder.iterdir()), **trace(folder)}
    found["finetune.json"] = (folder / "finetune.json").read_text(encoding="utf-8")
    for place in (home, escaped(home)):
        for name in ("finetune.json", "card"):
            found[name] = found[name].replace(place, "HOME")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
