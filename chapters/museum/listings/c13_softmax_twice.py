"""The criterion gets probabilities, and takes a second softmax of them.

The listing hands its criterion, which it never defines, the model's output object, and stops. Who
fills the gap takes the output apart, makes probabilities of the logits, since a loss wants those in
every textbook, and gives them to a cross-entropy that expects logits. It trains, slowly. Between 0
and 1 nothing can be sure: of two classes, the loss cannot fall below ln(1 + 1/e) = 0.31. Worse, a
row that is answered wrongly with confidence has no gradient, for the first softmax is flat there.
The listing also lacks a tokenizer, a mask, a device, a schedule, clipping, and any evaluation. The
mend is to give the loss the logits.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.models import ClassifierOutput

TITLE = "Softmax, twice (softmax 做了两遍)"
SOURCE = "C13 of the documents, a minimal loop of fine-tuning; F47"
SEEN = "A TypeError at once. After that: the loss stops at 0.31, and some rows never change sides."
CHINESE = (
    "原程序把模型的输出对象直接交给损失函数，当场报错。顺手一改，先取 softmax 变成概率再交进去，"
    "就不报错了，可交叉熵自己还要再做一遍 softmax：两个类时损失最低也有 0.31；"
    "更糟的是，错得最有把握的那些行，第一遍 softmax 已经饱和，几乎没有梯度，永远改不过来。"
    "应当直接交得分（logits）。"
)


def broken(outputs: ClassifierOutput, labels: np.ndarray) -> Tensor:
    """The mean loss. outputs.logits (N, K), labels (N,) classes -> ()."""
    logits = outputs.logits
    return F.cross_entropy(F.softmax(logits), Tensor(labels, device=logits.device))


def mended(outputs: ClassifierOutput, labels: np.ndarray) -> Tensor:
    """The mean loss. outputs.logits (N, K), labels (N,) classes -> ()."""
    logits = outputs.logits
    return F.cross_entropy(logits, Tensor(labels, device=logits.device))


def check(loss) -> None:
    """Who is sure and right has no loss; who is sure and wrong has the longest gradient."""
    labels = np.arange(8) % 2
    sure = Tensor(40.0 * np.eye(2)[labels])
    right = loss(ClassifierOutput(sure), labels).item()
    assert abs(right) < 1e-9, f"all rows right, all sure, and the loss is {right:.3g}, not 0"
    wrong = Tensor(40.0 * np.eye(2)[1 - labels], requires_grad=True)
    slope = 8.0 * np.abs(grad(loss(ClassifierOutput(wrong), labels), wrong).numpy()).min()
    assert abs(slope - 1.0) < 1e-9, f"a row that is surely wrong has a gradient of {slope:.1e}"
