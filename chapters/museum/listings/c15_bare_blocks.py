"""Blocks without residual sums: the gradient dies on its way down, and all tokens become one.

The printed block leads from attention to the feed-forward network to the output, and no sum goes
around either. Each of them then replaces what it reads. Attention mixes the tokens, again and
again, until a text's tokens cannot be told apart; and of the gradient of the last block next to
nothing comes back to the first. The mend is LN(x + f(x)), or x + f(LN(x)), around both. The diagram
also lacks embedding and positions, and its decoder the causal mask and the attention to the
encoder.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad, manual_seed, nn

TITLE = "Blocks without residual sums (没有残差连接的块)"
SOURCE = "C15 of the documents, a Transformer block as a text diagram; F33"
SEEN = "No error: with one block the model learns, with twelve the loss stays where it began."
CHINESE = (
    "图里的块只有“注意力 → 前馈 → 输出”，没有残差，也没有层归一化。每一层都把读到的东西整个换掉："
    "注意力一层层地把词混在一起，十几层以后，一句话里的词已经分不出彼此；"
    "梯度传回第一块时不到万亿分之一，所以损失一动不动，程序也不报错。"
    "正确的块在注意力和前馈外面各有一个残差和：LN(x + f(x))，或者 x + f(LN(x))。"
)


def broken(blocks: int, width: int) -> nn.Module:
    """An encoder of so many blocks: x (B, T, width) -> (B, T, width)."""
    return nn.TransformerEncoder(blocks, width, 2, norm="bare")


def mended(blocks: int, width: int) -> nn.Module:
    """An encoder of so many blocks: x (B, T, width) -> (B, T, width)."""
    return nn.TransformerEncoder(blocks, width, 2, norm="post")


def passed(build, blocks: int) -> tuple[float, float]:
    """The norm of the gradient that comes back to the input, and how far the tokens of a text are
    from their mean, as a share of their size."""
    manual_seed(0)
    rng = np.random.default_rng(0)
    encoder = build(blocks, 16).astype("float64")
    x, direction = (Tensor(each, requires_grad=True) for each in rng.normal(size=(2, 2, 6, 16)))
    y = encoder(x)
    slopes, states = grad((y * direction).sum(), x).numpy(), y.numpy()
    apart = states - states.mean(axis=1, keepdims=True)
    return float(np.linalg.norm(slopes)), float(np.linalg.norm(apart) / np.linalg.norm(states))


def check(build) -> None:
    """Twelve blocks, as in BERT, pass the gradient on as one does, and tokens stay different."""
    one, (twelve, apart) = passed(build, 1)[0], passed(build, 12)
    share = twelve / one
    assert 0.01 < share < 100.0, (
        f"of the gradient that one block passes back, twelve pass {share:.0e}"
    )
    assert apart > 0.01, f"after twelve blocks the tokens of a text differ by {apart:.0e}"
