"""A warm-up that outlasts the run: the learning rate never arrives, and nothing is said.

500 steps of warm-up are for runs of many thousands. A count of steps knows nothing of the data: 800
rows in batches of 16, three times over, make 150 steps, so that the rate ends at 30 % of what was
meant; with a single row there are 3 steps, and it ends at 0.4 %. The mend is to give the warm-up as
a share of the run. In the listing no rate is given either (so the default counts), the trainer is
not imported, the data are not defined, and the model has no head and so no loss.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_llm import nn, optim
from tinygrad_llm.optim.schedules import linear_factor

TITLE = "A warm-up longer than the run (预热比训练还长)"
SOURCE = "C19 of the documents, the arguments of a trainer; F74, and G15 for the schedule"
SEEN = "Nothing: the loss falls slowly, and the model, the data or the rate are blamed."
CHINESE = (
    "预热 500 步是给几万步的训练用的。800 行数据、每批 16 行、3 轮，一共才 150 步："
    "学习率还在爬坡训练就结束了，最高只到设定值的 30%；只有一行数据时，最高只到 0.4%。"
    "程序不报错，损失降得慢，人们会去怪模型、怪数据。"
    "预热应当写成总步数的一个比例，例如十分之一；写完先打印整条学习率曲线看一眼。"
)

RATE = 5e-5


def broken(optimizer: optim.Optimizer, steps: int) -> optim.Schedule:
    """The schedule of a run of so many steps, by hand: `optim.linear` would warn of it."""
    return optim.Schedule(optimizer, partial(linear_factor, total_steps=steps, warmup_steps=500))


def mended(optimizer: optim.Optimizer, steps: int) -> optim.Schedule:
    """The schedule of a run of so many steps."""
    return optim.linear(optimizer, steps, warmup_ratio=0.1)


def rates(schedule_of, steps: int) -> list[float]:
    """The learning rate of each step of a run, as a share of the one that was asked for."""
    optimizer = optim.AdamW([nn.Parameter(np.zeros(1, np.float32))], lr=RATE)
    schedule, found = schedule_of(optimizer, steps), []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0] / RATE)
        schedule.step()
    return found


def check(schedule_of) -> None:
    """Whatever the run's length, the rate climbs, arrives early, and comes down again."""
    for steps in (3, 150, 1500):
        found = rates(schedule_of, steps)
        top = max(found)
        assert top > 0.99, f"in a run of {steps} steps the rate gets to {top:.1%} of {RATE}"
        assert found[0] < 0.5, f"of {steps} steps the first one has {found[0]:.0%} of {RATE}"
        arrival = found.index(top) / steps
        assert arrival < 0.4, f"the rate arrives after {arrival:.0%} of {steps} steps"
        last, idle = found[-1], found[1:].count(0.0)
        assert last < 0.6, f"the last of {steps} steps has {last:.0%} of {RATE}"
        assert idle == 0, f"{idle} of {steps} steps have a rate of 0"
