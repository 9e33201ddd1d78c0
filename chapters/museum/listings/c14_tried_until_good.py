"""Train, evaluate, go back until it is good: with one set, luck is chosen and called a result.

The two diagrams have one arrow back, or none: evaluate, and if it is not good enough, train again.
Evaluated each time on the same rows, the best of many tries is the luckiest, and its score is that
luck. No model has seen the rows, and they are used up all the same. The diagrams have no third set.
The mend is to choose by validation rows and to report the chosen one by test rows, read once.
"""

from __future__ import annotations

import numpy as np

TITLE = "Tried until it is good (试到分数好看为止)"
SOURCE = "C14 of the documents, two diagrams of a training process"
SEEN = "Each try is a little better than the last. In use, the model is worse than its score."
CHINESE = (
    "流程图里只有“评估，不够好就回去再练”，评估用的始终是同一份数据，没有验证集和测试集之分。"
    "四十个只会瞎猜的模型，每个都是一半对，挑出分数最高的那个，它就“有” 65 分：挑中的是运气。"
    "应当用验证集来挑，挑好以后，再用没有碰过的测试集报分，而且只报一次。"
)


def broken(right: np.ndarray) -> tuple[int, float]:
    """right (S, N): whether try s is right at row n -> the try to keep, and its score."""
    scores = right.mean(axis=1)
    return int(scores.argmax()), float(scores.max())


def mended(right: np.ndarray) -> tuple[int, float]:
    """right (S, N): whether try s is right at row n -> the try to keep, and its score."""
    validation, test = np.array_split(right, 2, axis=1)
    chosen = int(validation.mean(axis=1).argmax())
    return chosen, float(test[chosen].mean())


def check(choose) -> None:
    """Of guessing models, the chosen one guesses; one that knows something is found."""
    rng = np.random.default_rng(0)
    guesses = rng.random(size=(300, 40, 50)) < 0.5
    told = float(np.mean([choose(right)[1] for right in guesses]))
    assert abs(told - 0.5) < 0.03, (
        f"40 models that guess: the one that is kept is said to be right in {told:.0%}"
    )
    knowing = rng.random(size=(300, 50)) < 0.9
    found = 0
    for right, rows in zip(guesses, knowing):
        right[13] = rows
        found += choose(right)[0] == 13
    assert found > 290, f"one of 40 models is right in 90 %, and it is kept in {found} of 300 cases"
