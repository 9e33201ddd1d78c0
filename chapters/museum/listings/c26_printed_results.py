"""Results that the code cannot print: 88.0 % of five rows or fewer, and one loss for each epoch.

The program prints the loss of every batch. One line for each epoch means one batch, so 16 rows or
fewer to learn from, and, split 80 to 20, five or fewer to judge by. Shares of five rows are 0, 20,
40, 60, 80 and 100 %; 88.0 % needs 25 rows at least. It also prints a share after every epoch, and
only one is shown. So nobody ran this program to get these numbers, and whoever compares with them
looks for a mistake that is not there. The mend is a log that the run itself writes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad_llm import Tensor, data, manual_seed, models, no_grad, optim
from tinygrad_llm import functional as F

TITLE = "Results that cannot be (不可能出现的结果)"
SOURCE = "C26 of the documents, the output that is printed below a program"
SEEN = "One's own run never gives these numbers, and the reason is looked for in the wrong place."
CHINESE = (
    "程序每一批打印一次损失。每轮只有一行，说明每轮只有一批，训练数据不超过 16 行；"
    "按 80/20 划分，验证集最多 5 行，准确率只能是 0、20、40、60、80 或 100%。"
    "而 88.0% 至少需要 25 行（22/25）。程序每轮都会打印准确率，文中却只有一次。"
    "可见这组数字不是这段代码跑出来的。结果应当由程序自己写进日志，不要手抄。"
)

EPOCHS, BATCH = 3, 16


class Log(NamedTuple):
    """The loss of every batch, and after each epoch the percentage of held-out rows right."""

    losses: list[float]
    percentages: list[float]


def broken(x: np.ndarray, y: np.ndarray) -> Log:
    """What a run on rows x (N, D) of classes y (N,) printed: a fifth of them is held out."""
    return Log([0.69, 0.58, 0.41], [88.0])


def mended(x: np.ndarray, y: np.ndarray) -> Log:
    """What a run on rows x (N, D) of classes y (N,) printed: a fifth of them is held out."""
    manual_seed(42)
    train, held_out = data.stratified_split(y, 0.2, seed=42)
    model, log = models.MLP([x.shape[1], 8, 2]), Log([], [])
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(EPOCHS):
        for rows in data.DataLoader(data.ArrayDataset(x[train], y[train]), BATCH, shuffle=True):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(Tensor(rows[0])), rows[1])
            loss.backward()
            optimizer.step()
            log.losses.append(loss.item())
        with no_grad():
            said = model(Tensor(x[held_out])).numpy().argmax(axis=1)
        log.percentages.append(round(100.0 * float((said == y[held_out]).mean()), 1))
    return log


def is_share(percentage: float, rows: int) -> bool:
    """Whether some number of `rows` rows is this percentage, to one digit."""
    return percentage in {round(100.0 * k / rows, 1) for k in range(rows + 1)}


def check(run) -> None:
    """The numbers of lines and the percentages are those that so many rows can give."""
    for rows in (20, 125):
        x = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
        log, judged = run(x, (x[:, 0] > 0.0).astype(int)), rows // 5
        for found in log.percentages:
            fewest = next(n for n in range(1, 1001) if is_share(found, n))
            assert is_share(found, judged), (
                f"{found}% is no share of {judged} rows: it needs {fewest} at least"
            )
        due = EPOCHS * -(-(rows - judged) // BATCH)
        lines = len(log.losses)
        assert lines == due, f"{lines} losses are printed, and {due} batches were trained"
        times = len(log.percentages)
        assert times == EPOCHS, f"{times} percentages are printed after {EPOCHS} epochs"
