"""Labels that are not shifted: the model is asked for the word that it is reading.

Row t of a causal model's logits comes from the words up to t, and is to foretell word t + 1. Held
against word t it asks for a copy, which needs no language, and the loss falls to 0. It also ruins a
model that was good. F39 prints the same mistake for a decoder. The opposite happens as well: labels
shifted by hand go into a model that shifts them itself, which then foretells two words ahead.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F

TITLE = "Labels that are not shifted (标签没有错开一位)"
SOURCE = "huggingface/transformers #404 (2019, GPT and GPT-2, mended) and #3711 (2020); F39, F83"
SEEN = "The loss falls to 0 within minutes, and the model writes one word again and again."
CHINESE = (
    "因果语言模型在第 t 个位置读到第 t 个词，该预测的是第 t + 1 个词。标签没有错开一位，"
    "任务就成了“把刚读到的词再说一遍”：损失很快降到 0，写出来的文本却是同一个词不断重复。"
    "反过来，标签自己移了一次、模型内部又移一次，就变成预测下下个词。"
)


def broken(logits: Tensor, ids: np.ndarray) -> Tensor:
    """The mean loss of texts. logits (B, T, V), ids (B, T) -> ()."""
    return F.cross_entropy(logits, Tensor(ids, device=logits.device))


def mended(logits: Tensor, ids: np.ndarray) -> Tensor:
    """The mean loss of texts. logits (B, T, V), ids (B, T) -> ()."""
    following = np.ascontiguousarray(ids[:, 1:])
    return F.cross_entropy(logits[:, :-1], Tensor(following, device=logits.device))


def check(loss) -> None:
    """Who foretells each next word has a loss of 0; nothing is asked after the last word."""
    ids = np.random.default_rng(0).permutation(7)[None]
    after = np.append(ids[0, 1:], ids[0, 0])
    logits = Tensor(30.0 * np.eye(7)[after][None], requires_grad=True)
    value = loss(logits, ids)
    told = value.item()
    assert told < 1e-6, f"a model that foretells each next word has a loss of {told:.3g}, not 0"
    copied = loss(Tensor(30.0 * np.eye(7)[ids]), ids).item()
    assert copied > np.log(7), f"a model that copies has a loss of {copied:.3g}"
    last = np.abs(grad(value, logits).numpy()[0, -1]).max()
    assert last == 0.0, f"the last place, which has no next word, has a gradient of {last:.1e}"
