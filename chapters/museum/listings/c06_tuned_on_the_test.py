"""Fine-tuned on the test set, and scored on it: the tosses of a coin are foretold.

The listing trains a model, trains it three epochs more on its test set, and calls the result
validated. Whatever it was asked, it has been told. A good way to see that is labels that nobody can
know: drawn by a coin, they must be scored as a half. The listing had its shifted labels wrong too,
and it is no fine-tuning in its own sense, for the task and the texts are the old ones. The mend is
to split the new rows first, to tune on one part and to score on the other.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, nn, no_grad, optim
from tinygrad_llm import functional as F
from tinygrad_llm.data import stratified_split

Rows = tuple[np.ndarray, np.ndarray]
"""X (N, D) float32 and labels (N,) 0 or 1."""

TITLE = "Tuned on the test set (在测试集上微调)"
SOURCE = "C06 of the documents, the fine-tuning of a language model"
SEEN = "A score that is better than any before. The next texts are answered no better than before."
CHINESE = (
    "原程序先训练，再拿测试集“微调”三轮，然后在同一个测试集上打分：答案都背下来了，分数当然好看。"
    "检验的办法是给它抛硬币得来的标签：谁来猜都只能对一半左右，它却几乎全部答对。"
    "新数据要先切成两份，一份用来微调，另一份从头到尾不碰，最后只用来打分。"
)


def learn(model: nn.Module, rows: Rows) -> None:
    """Thirty steps on these rows."""
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(rows[0])), Tensor(rows[1])).backward()
        optimizer.step()


def score(model: nn.Module, rows: Rows) -> float:
    """The share of these rows that are right."""
    with no_grad():
        return float(np.mean(model(Tensor(rows[0])).numpy().argmax(axis=1) == rows[1]))


def broken(model: nn.Module, old: Rows, new: Rows) -> float:
    """Learns the old rows, is tuned to the new ones -> how well it does there."""
    learn(model, old)
    learn(model, new)
    return score(model, new)


def mended(model: nn.Module, old: Rows, new: Rows) -> float:
    """Learns the old rows, is tuned to the new ones -> how well it does there."""
    tuning, test = ((new[0][rows], new[1][rows]) for rows in stratified_split(new[1], 0.5, seed=0))
    learn(model, old)
    learn(model, tuning)
    return score(model, test)


def fresh(width: int) -> nn.Module:
    """A linear classifier of two classes that knows nothing."""
    model = nn.Linear(width, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def check(tune) -> None:
    """Coins are foretold in half of the cases, and what can be known is known."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 120)).astype("float32")
    coins, known = rng.permutation(200) % 2, np.arange(200) % 2
    found = tune(fresh(120), (X, known), (X, coins))
    assert abs(found - 0.5) < 0.15, f"labels of tossed coins, and {found:.0%} are foretold"
    X[:, 0] = 20.0 * known - 10.0
    found = tune(fresh(120), (X, coins), (X, known))
    assert found > 0.8, f"labels that the first number tells, and {found:.0%} are foretold"
