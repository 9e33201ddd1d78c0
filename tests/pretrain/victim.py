"""A pretraining to be killed: `python -m tests.pretrain.victim KIND FOLDER [KILL]`.

KIND is gpt or bert. KILL says where the process ends itself by SIGKILL: at the n-th time of "before
rename:3", "after rename:2", "write:3" (half of a file is there under a temporary name), "log:4"
(half a row is written), "step:5"; or "seconds:0.4" after the program began. A run that was begun
goes on. At the end it prints a digest of what is in the folder.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.pretrain.common import digest, options
from tests.training import victim
from tinygrad_llm import pretrain
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
    else:
        real = Stepper.step

        def step(self, *given):
            countdown()
            return real(self, *given)

        Stepper.step = step  # type: ignore[method-assign]


def main(kind: str, home: str, kill: str = "") -> None:
    if kill:
        arm(kill)
    folder = Path(home) / "out"
    begun = (folder / "options.json").exists()
    changes = {"model": kind, "steps": STEPS, "resume": begun}
    pretrain.pretrain(options(Path(home), **changes), quiet=True)
    print(digest(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
