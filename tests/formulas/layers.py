"""The engine's modules with the weights of a form, in float64, so that the two can be compared."""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, nn
from tinygrad_llm.formulas.decoder import Block
from tinygrad_llm.formulas.feeding import Net
from tinygrad_llm.formulas.heads import Heads


def leaf(array: np.ndarray) -> Tensor:
    """A tensor of its own memory that wants a gradient."""
    return Tensor(np.array(array), requires_grad=True)


def _fill(linear: nn.Linear, weight: np.ndarray, bias: np.ndarray | float = 0.0) -> None:
    linear.weight.data[...] = weight
    linear.bias.data[...] = bias


def fill_heads(module: nn.MultiHeadAttention, heads: Heads) -> nn.MultiHeadAttention:
    """The heads' matrices side by side, as the module keeps them, and no biases."""
    own = (module.query, heads.query), (module.key, heads.key), (module.value, heads.value)
    for linear, matrices in own:
        _fill(linear, np.concatenate(list(matrices), axis=1))
    _fill(module.out, heads.out)
    return module


def fill_net(module: nn.FeedForward, net: Net) -> nn.FeedForward:
    _fill(module.up, net[0], net[1])
    _fill(module.down, net[2], net[3])
    return module


def attention(heads: Heads) -> nn.MultiHeadAttention:
    """The engine's multi-head attention with these matrices."""
    module = nn.MultiHeadAttention(heads.query.shape[1], len(heads.query)).astype("float64")
    return fill_heads(module, heads)


def feed_forward(net: Net) -> nn.FeedForward:
    """The engine's feed-forward network with these matrices."""
    return fill_net(nn.FeedForward(*net[0].shape).astype("float64"), net)


def fill_layer(layer: nn.TransformerLayer, weights: Block) -> nn.TransformerLayer:
    fill_heads(layer.attention, weights.own)
    if layer.cross_attention is not None:
        fill_heads(layer.cross_attention, weights.cross)
    fill_net(layer.feed_forward, weights.net)
    return layer


def layer(weights: Block, **options: object) -> nn.TransformerLayer:
    """The engine's block with these weights; options as `nn.TransformerLayer` has them."""
    width, hidden = weights.net[0].shape
    module = nn.TransformerLayer(width, len(weights.own.query), hidden, **options)
    return fill_layer(module.astype("float64"), weights)
