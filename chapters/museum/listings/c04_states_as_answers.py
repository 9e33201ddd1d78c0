"""A network's states are taken for its answers: the layer that makes scores of words is missing.

The listing holds the states of an LSTM, each number a tanh between −1 and 1, against words. If
there are as many words as numbers in a state, the shapes even fit. But scores between −1 and 1
cannot be sure of anything: of V words the best one gets e/(e + (V − 1)/e) at most, 5 % of 128, and
the loss stays above 2.9 for ever. The listing could not run at all, for its input was made twice;
padding had no mask, and it called this GPT-3. The mend is a linear layer from states to V logits.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, nn, optim
from tinygrad_llm import functional as F

TITLE = "States taken for answers (把隐藏状态当成了答案)"
SOURCE = "C04 of the documents, an LSTM language model"
SEEN = "An error at once, for its input is made twice. Without that: the loss stops far above 0."
CHINESE = (
    "循环网络输出的是隐藏状态，每个数都经过 tanh，落在 −1 和 1 之间。原程序少了最后的线性层，"
    "把状态直接当成每个词的得分：词表有 128 个词时，最有把握的一个也只有 5% 的概率，"
    "损失永远降不到 2.9 以下，怎么训练都没有用。"
    "应当再加一个线性层，把状态变成 V 个没有上下限的得分。"
)


def broken(width: int, vocabulary: int) -> nn.Module:
    """What makes logits (..., V) of states (..., D) between −1 and 1."""
    return nn.Identity()


def mended(width: int, vocabulary: int) -> nn.Module:
    """What makes logits (..., V) of states (..., D) between −1 and 1."""
    return nn.Linear(width, vocabulary)


def learned(head: nn.Module, states: Tensor, words: Tensor) -> float:
    """The loss of the words after a hundred steps."""
    parameters = list(head.parameters())
    optimizer = optim.SGD(parameters, lr=2.0) if parameters else None
    for _ in range(100 if optimizer else 0):
        optimizer.zero_grad()
        F.cross_entropy(head(states), words).backward()
        optimizer.step()
    return F.cross_entropy(head(states), words).item()


def check(make) -> None:
    """States that differ for every word can be learned by heart, and each word has a score."""
    states = Tensor((2.0 * np.eye(128) - 1.0).astype("float32"))
    loss = learned(make(128, 128), states, Tensor(np.arange(128)))
    share = f"the right one of 128 words has {np.exp(-loss):.0%}"
    assert loss < 1.0, f"a state for each word, and {share}: the loss stays at {loss:.2f}"
    scores = make(8, 20)(Tensor(np.zeros((3, 8), "float32"))).shape[-1]
    assert scores == 20, f"a state has scores for {scores} words, and there are 20"
