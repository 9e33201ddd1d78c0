"""The loss of hidden words over all places: copying the input is nearly all that it asks for.

Of a text, 15 % of the words are selected; 80 % of these are hidden, 10 % replaced, 10 % left as
they are (F71). At all other places the answer stands in the input. When the labels are simply the
text, six of seven targets ask for a copy. The score rises to 0.865 and says nothing of language,
and most of the gradient goes into copying. The mend is the label −100 at what was not selected.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.formulas.pretraining import hide

IGNORED = -100

TITLE = "Hidden words, and a loss over all words (损失算在了所有位置上)"
SOURCE = "lucidrains/mlm-pytorch #3; huggingface/transformers #20797 (2022), by a user; F71"
SEEN = "The loss is far below what others report, and many hidden words are still wrong."
CHINESE = (
    "只有 15% 的词被选中，其余位置的答案就摆在输入里。如果标签直接用原文，"
    "七个目标里有六个只是“照抄”：准确率很快升到 0.865，看上去很好，其实什么语言都没学到。"
    "没有选中的位置应当标成 −100，不计损失。"
)


def broken(logits: Tensor, words: np.ndarray, selected: np.ndarray) -> Tensor:
    """The mean loss. logits (..., V), words and selected (...) -> ()."""
    return F.cross_entropy(logits, Tensor(words, device=logits.device))


def mended(logits: Tensor, words: np.ndarray, selected: np.ndarray) -> Tensor:
    """The mean loss. logits (..., V), words and selected (...) -> ()."""
    labels = np.where(selected, words, IGNORED)
    return F.cross_entropy(logits, Tensor(labels, device=logits.device))


def check(loss) -> None:
    """No gradient where nothing was asked, and a model that copies must not look good."""
    rng = np.random.default_rng(0)
    words, drawn = rng.integers(1, 50, size=(2, 400))
    selected = rng.random(400) < 0.15
    seen = hide(words, selected, rng.random(400), drawn, mask=0)
    logits = Tensor(10.0 * np.eye(50)[seen], requires_grad=True)
    value = loss(logits, words, selected)
    slopes = np.abs(grad(value, logits).numpy()).max(axis=1)
    told, apart = int(np.sum(slopes[~selected] > 0.0)), int(np.sum(~selected))
    copying = f"a model that copies has a loss of {value.item():.2f}, and ln V is {np.log(50):.2f}"
    assert told == 0, f"{told} of {apart} places that were not selected have a gradient; {copying}"
    assert value.item() > np.log(50), copying
