"""PyTorch's names of Transformer weights, and ours: recorded weights and gradients, translated.

Every function takes `torch`, PyTorch's arrays by name, and gives ours by name: matrices (in, out).
"""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]


def under(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays whose names begin so, without that."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {prefix + name: array for name, array in arrays.items()}


def linear(torch: Arrays) -> Arrays:
    return {"weight": torch["weight"].T, "bias": torch["bias"]}


def attention(torch: Arrays) -> Arrays:
    """Of nn.MultiheadAttention, whose three projections are one matrix or, where the memory has a
    width of its own, three."""
    parts = np.split(torch["in_proj_weight"], 3) if "in_proj_weight" in torch else None
    parts = parts or [torch[f"{name}_proj_weight"] for name in "qkv"]
    biases = np.split(torch["in_proj_bias"], 3)
    ours = prefixed("out.", linear(under("out_proj.", torch)))
    for name, weight, bias in zip(("query", "key", "value"), parts, biases):
        ours |= prefixed(f"{name}.", linear({"weight": weight, "bias": bias}))
    return ours


def layer(torch: Arrays) -> Arrays:
    """Of nn.TransformerEncoderLayer or nn.TransformerDecoderLayer."""
    ours = prefixed("attention.", attention(under("self_attn.", torch)))
    sums = ["attention_sum"]
    if "multihead_attn.in_proj_weight" in torch:
        ours |= prefixed("cross_attention.", attention(under("multihead_attn.", torch)))
        sums.append("cross_attention_sum")
    ours |= prefixed("feed_forward.up.", linear(under("linear1.", torch)))
    ours |= prefixed("feed_forward.down.", linear(under("linear2.", torch)))
    for i, name in enumerate([*sums, "feed_forward_sum"], start=1):
        ours |= prefixed(f"{name}.norm.", under(f"norm{i}.", torch))
    return ours


def stack(torch: Arrays) -> Arrays:
    """Of nn.TransformerEncoder or nn.TransformerDecoder."""
    ours = prefixed("norm.", under("norm.", torch))
    count = 1 + max(int(name.split(".")[1]) for name in torch if name.startswith("layers."))
    for i in range(count):
        ours |= prefixed(f"layers.{i}.", layer(under(f"layers.{i}.", torch)))
    return ours


def translation(torch: Arrays) -> Arrays:
    """Of the recorded encoder-decoder with one embedding."""
    return {
        "source.weight": torch["embedding.weight"],
        **prefixed("encoder.", stack(under("encoder.", torch))),
        **prefixed("decoder.", stack(under("decoder.", torch))),
    }


def gpt2(torch: Arrays) -> Arrays:
    """Of transformers' GPT2LMHeadModel, whose matrices are (in, out) too."""
    ours = {
        "tokens.weight": torch["transformer.wte.weight"],
        "positions.weight": torch["transformer.wpe.weight"],
        **prefixed("decoder.norm.", under("transformer.ln_f.", torch)),
    }
    blocks = {name.split(".")[2] for name in torch if name.startswith("transformer.h.")}
    for i in blocks:
        theirs = under(f"transformer.h.{i}.", torch)
        mine = prefixed("attention.out.", under("attn.c_proj.", theirs))
        for what in ("weight", "bias"):
            parts = np.split(theirs[f"attn.c_attn.{what}"], 3, axis=-1)
            mine |= {f"attention.{n}.{what}": p for n, p in zip(("query", "key", "value"), parts)}
        mine |= prefixed("feed_forward.up.", under("mlp.c_fc.", theirs))
        mine |= prefixed("feed_forward.down.", under("mlp.c_proj.", theirs))
        mine |= prefixed("attention_sum.norm.", under("ln_1.", theirs))
        mine |= prefixed("feed_forward_sum.norm.", under("ln_2.", theirs))
        ours |= prefixed(f"decoder.layers.{i}.", mine)
    return ours


BERT = {
    "embeddings.word_embeddings": "embeddings.words",
    "embeddings.position_embeddings": "embeddings.positions",
    "embeddings.token_type_embeddings": "embeddings.segments",
    "embeddings.LayerNorm": "embeddings.norm",
    "encoder.layer.": "encoder.layers.",
    "attention.self.": "attention.",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "attention_sum.norm",
    "intermediate.dense": "feed_forward.up",
    "output.dense": "feed_forward.down",
    "output.LayerNorm": "feed_forward_sum.norm",
    "cls.predictions.transform.dense": "predictions.dense",
    "cls.predictions.transform.LayerNorm": "predictions.norm",
    "cls.predictions.bias": "predictions.bias",
    "cls.seq_relationship": "seq_relationship",
}
"""Parts of names, each replaced where it stands, in this order."""


def bert(torch: Arrays) -> Arrays:
    """Of transformers' BERT with any head."""
    ours = {}
    for name, array in torch.items():
        turned = array.ndim == 2 and "embeddings" not in name
        for theirs, mine in BERT.items():
            name = name.replace(theirs, mine)
        ours[name] = array.T if turned else array
    return ours
