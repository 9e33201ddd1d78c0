"""train() before the epochs only: after the first validation, dropout is off for good.

eval() is a switch and not a block: it stays until somebody turns it back. The loop trains, turns it
for the validation, and goes on in that mode, so of three epochs two are without dropout. Nothing is
reported; the training loss is even lower, and the model overfits as if it had no dropout at all.
The mend is train() at the head of every epoch. The listing as printed is a SyntaxError; it would
have a mask of ones (F79), call the model without labels and so get no loss, never use the GPU that
it asks for, and save no weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_llm import Tensor, manual_seed, nn

TITLE = "A mode that stays (评估模式没有切换回来)"
SOURCE = "C25 of the documents, the training function of a classifier"
SEEN = "Nothing: from the second epoch on the training loss is lower, and that looks like success."
CHINESE = (
    "eval() 是开关，不会自动还原。循环之前只调用了一次 train()，第一轮验证之后，"
    "模型一直停在评估模式：第二、三轮训练时 dropout 都是关的。程序不报错，训练损失反而更低，"
    "看上去像是好事，其实正则化没有了，模型开始死记硬背。每一轮开头都要调用 train()。"
    "同一份代码里还没有把 labels 交给模型，所以损失是 None。"
)

Work = Callable[[], None]


def broken(model: nn.Module, epochs: int, learn: Work, validate: Work) -> None:
    """Train and validate in turn, so many times."""
    model.train()
    for _ in range(epochs):
        learn()
        model.eval()
        validate()


def mended(model: nn.Module, epochs: int, learn: Work, validate: Work) -> None:
    """Train and validate in turn, so many times."""
    for _ in range(epochs):
        model.train()
        learn()
        model.eval()
        validate()


def check(run) -> None:
    """In each epoch dropout acts while the model learns, and does not while it is validated."""
    manual_seed(0)
    model, seen = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5)), {"learn": [], "validate": []}

    def watched(what: str) -> Work:
        def note() -> None:
            zeros = model(Tensor(np.ones((8, 4), np.float32))).numpy() == 0.0
            seen[what].append(float(zeros.mean()))

        return note

    run(model, 3, watched("learn"), watched("validate"))
    turns = [len(each) for each in seen.values()]
    assert turns == [3, 3], f"of 3 epochs, {turns[0]} are trained and {turns[1]} validated"
    off = [i + 1 for i, share in enumerate(seen["learn"]) if share < 0.3]
    shown = ", ".join(map(str, off))
    assert not off, f"the model learns without dropout in {len(off)} of 3 epochs: {shown}"
    on = sum(share > 0.0 for share in seen["validate"])
    assert on == 0, f"dropout acts in {on} of 3 validations"
