"""The weights of the last epoch are tested, though the epochs were scored to find the best.

The listing scores its model after each of five epochs, prints that, and does nothing with it. What
is tested at last is the model as it happens to be then, which on few rows has long begun to learn
them by heart. None of its three data sets had been defined, and the labels of the first were
overwritten. The mend keeps a copy of the weights whenever the score on the development rows is the
best so far, goes back to it, and reads the test once. It must be a copy: the weights themselves,
kept in a list, learn on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinygrad_llm import Tensor, nn, optim
from tinygrad_llm import functional as F

TITLE = "The last epoch in place of the best (用了最后一轮，不是最好的一轮)"
SOURCE = "C12 of the documents, a loop of five epochs"
SEEN = "An error at once. Then nothing: the score is worse than the log says it once was."
CHINESE = (
    "每一轮都在验证集上打了分，也打印出来了，却没有拿它做任何事：最后测试的是最后一轮的权重。"
    "数据少的时候，后面几轮早已开始死记硬背，验证损失早就回升了。"
    "应当在验证损失最低时把权重复制一份，最后换回来，测试集只看一次。要真的复制，只记引用的话，权重会跟着继续变。"
)

Loss = Callable[[], float]
"""Of the model as it is now."""


def broken(model: nn.Module, learn: Callable, dev: Loss, test: Loss, epochs: int) -> float:
    """Trains the model, `learn()` being an epoch -> its loss on the test rows."""
    for _ in range(epochs):
        learn()
        dev()
    return test()


def mended(model: nn.Module, learn: Callable, dev: Loss, test: Loss, epochs: int) -> float:
    """Trains the model, `learn()` being an epoch -> its loss on the test rows."""
    lowest, best = math.inf, model.state_dict()
    for _ in range(epochs):
        learn()
        if (now := dev()) < lowest:
            lowest, best = now, model.state_dict()
    model.load_state_dict(best)
    return test()


class Course:
    """A linear model and thrice twenty rows; the first are soon learned by heart."""

    def __init__(self) -> None:
        rng, self.model = np.random.default_rng(3), nn.Linear(16, 1).astype("float64")
        for parameter in self.model.parameters():
            nn.init.zeros_(parameter)
        X, truth = rng.normal(size=(3, 20, 16)), 2.0 * rng.normal(size=(16, 1))
        self.rows = [(Tensor(x), Tensor(x @ truth + 4.0 * rng.normal(size=(20, 1)))) for x in X]
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.05)
        self.path, self.reads = [], []

    def loss(self, part: int) -> Tensor:
        return F.mse_loss(self.model(self.rows[part][0]), self.rows[part][1])

    def learn(self) -> None:
        self.optimizer.zero_grad()
        self.loss(0).backward()
        self.optimizer.step()
        self.path.append(self.loss(1).item())

    def test(self) -> float:
        self.reads.append(self.loss(1).item())
        return self.loss(2).item()


def check(run) -> None:
    """The test is read once, with the weights whose loss on the development rows was lowest."""
    course = Course()
    told = run(course.model, course.learn, lambda: course.loss(1).item(), course.test, 60)
    path, reads, left = course.path, course.reads, course.loss(2).item()
    assert len(reads) == 1, f"the test is read {len(reads)} times"
    best = f"{min(path):.1f} after epoch {np.argmin(path) + 1} of {len(path)}"
    assert reads[0] == min(path), f"tested at a development loss of {reads[0]:.1f}; it was {best}"
    assert told == left, f"a test loss of {told:.1f} is told, and it is {left:.1f}"
