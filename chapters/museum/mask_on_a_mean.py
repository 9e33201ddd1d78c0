"""The mask comes after the mean: padding is trained, and the loss depends on how much there is.

A loss object takes the mean by default. A mask that is multiplied onto one number cannot choose
places any more: the sum over the mask divided by its size gives back that number, padding
included. The next attempt masks first and then takes the mean over all places: padding has no
gradient now, but the divisor counts it, so that the loss, and each step, shrinks as the padding
grows. The mend is to mask first and to divide by the number of places that count.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad

TITLE = "A mask multiplied onto a mean (掩码乘在平均值上)"
SOURCE = (
    "WindChimeRan/OpenJERE #6 (2021), a mask onto the mean; d2l-ai/d2l-en #2076 (2022), a mean "
    "over all places; G11"
)
SEEN = (
    "Nothing: it trains. But padding is learned like text, or the loss is lower in batches with "
    "more padding."
)
CHINESE = (
    "损失先取了平均，变成一个数，这时再乘掩码已经挑不出位置：乘完除以掩码之和，还是原来那个数，"
    "填充照样参加训练。第二种写法先乘掩码再对所有位置取平均：填充没有梯度了，但分母数错了，"
    "填充越多损失越小，步子也越小。正确做法：先乘掩码，再除以计分位置的个数。"
)


def broken(each: Tensor, mask: Tensor) -> Tensor:
    """The loss of a batch. each (B, T) losses of places, mask (B, T) 1.0 or 0.0 -> ()."""
    return (each.mean() * mask).sum() / mask.sum()


def halfway(each: Tensor, mask: Tensor) -> Tensor:
    """Masked, and then divided by all places. Shapes as `broken`."""
    return (each * mask).mean()


def mended(each: Tensor, mask: Tensor) -> Tensor:
    """The loss of a batch. each (B, T) losses of places, mask (B, T) 1.0 or 0.0 -> ()."""
    return (each * mask).sum() / mask.sum()


def check(loss) -> None:
    """Padding has no gradient, and more of it changes nothing."""
    rng = np.random.default_rng(0)
    real, mask = rng.uniform(1.0, 3.0, size=(3, 8)), np.arange(8) < np.array([8, 3, 5])[:, None]
    each = Tensor(real, requires_grad=True)
    value = loss(each, Tensor(mask.astype(float)))
    slopes = np.abs(grad(value, each).numpy())
    share = slopes[~mask].sum() / slopes.sum()
    assert share == 0.0, f"{share:.0%} of the gradient goes to padding"
    longer = [np.concatenate([x, np.zeros((3, 8))], axis=1) for x in (real, mask)]
    more = loss(*map(Tensor, longer)).item()
    ratio = more / value.item()
    assert abs(ratio - 1.0) < 1e-9, (
        f"with twice the places, half of them padding: loss × {ratio:.3g}"
    )
