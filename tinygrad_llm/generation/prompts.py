"""Prompts: ids and attention masks as they are given, made into arrays and checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import is_array, to_host
from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.rows import is_encoder_decoder, takes_mask
from tinygrad_llm.tensor import Tensor


def _integers(name: str, value: Any) -> np.ndarray:
    """A batch of integers (B, T) as int64 on the host."""
    raw = value.data if isinstance(value, Tensor) else value
    array = to_host(raw) if is_array(raw) else _rectangle(name, raw)
    if array.ndim != 2:
        raise ValueError(f"generate: {name} {array.shape} must be (B, T): [ids] for one text")
    if array.size == 0:
        raise ValueError(f"generate: {name} {array.shape} is empty: each text needs a first token")
    if array.dtype.kind not in "iub":
        raise TypeError(f"generate: {name} holds {array.dtype}, expected integers")
    return array.astype(np.int64)


def _rectangle(name: str, rows: Any) -> np.ndarray:
    try:
        return np.asarray(rows)
    except ValueError as error:
        raise ValueError(
            f'generate: {name} has rows of different lengths: data.Padding(side="left") pads them'
        ) from error


def prompts(ids: Any, mask: Any, config: GenerationConfig) -> tuple[np.ndarray, np.ndarray]:
    """Prompts (B, T) and their attention mask (B, T), int64."""
    ids = _integers("input_ids", ids)
    if ids.min() < 0:
        raise ValueError(f"generate: input_ids holds {ids.min()}, expected token ids from 0")
    if mask is None:
        pad = config.pad_token_id
        known = pad is not None and pad not in config.eos_ids
        return ids, (ids != pad).astype(np.int64) if known else np.ones_like(ids)
    mask = _integers("attention_mask", mask)
    if mask.shape != ids.shape or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"generate: attention_mask {mask.shape} must be 0 and 1, in the shape of input_ids "
            f"{ids.shape}"
        )
    return ids, mask


def check_model(model: Any, mask: np.ndarray, config: GenerationConfig) -> None:
    """Refuse prompts that this kind of model cannot go on from."""
    starts, padded = config.decoder_start_token_id is not None, not mask.all()
    if is_encoder_decoder(model) != starts:
        has = "needs a"
        if starts:
            has = "has no encoder (an encode, and a decode of two positional inputs), and takes no"
        raise ValueError(f"generate: the {type(model).__name__} {has} decoder_start_token_id")
    if padded and not takes_mask(model):
        raise ValueError(
            f"generate: the {type(model).__name__} takes no attention_mask, so prompts cannot be "
            "padded: give them one by one, or those of one length together"
        )
    if not starts and not mask[:, -1].all():
        row = mask[:, -1].argmin()
        raise ValueError(
            f"generate: row {row} ends with padding, after which no text goes on: pad prompts on "
            "the left"
        )


def check_lengths(model: Any, mask: np.ndarray, config: GenerationConfig) -> None:
    """Refuse lengths that leave nothing to generate, or that are more than the model reads."""
    prompt = 1 if is_encoder_decoder(model) else mask.shape[1]
    steps = config.most_new_tokens(prompt)
    if steps < 1:
        raise ValueError(
            f"generate: max_length={config.max_length} leaves no room after a prompt of "
            f"{_tokens(prompt)}: give max_new_tokens"
        )
    _check_least(config, prompt, steps)
    _check_reach(model, int(mask.sum(axis=1).max()), steps)


def _check_least(config: GenerationConfig, prompt: int, steps: int) -> None:
    """Refuse a least length that `steps` new tokens cannot reach."""
    least = {"min_new_tokens": config.min_new_tokens, "min_length": config.min_length - prompt}
    name = max(least, key=lambda name: least[name])
    needed = least[name]
    if needed <= steps:
        return
    mend = f"max_new_tokens={needed}"
    if config.max_length is not None:
        mend = f"max_length={needed + prompt}"
    raise ValueError(
        f"generate: {name}={getattr(config, name)} is beyond the {_tokens(steps)} that may come: "
        f"lower it, or give {mend}"
    )


def _check_reach(model: Any, longest: int, steps: int) -> None:
    """Refuse texts of more tokens than model.config says that it has positions for.

    longest: tokens of the longest prompt, or source. The last new token is not read.
    """
    most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if most is None:
        return
    if longest > most:
        raise ValueError(f"generate: {_tokens(longest)}, but the model reads {most}: shorten them")
    prompt = 1 if is_encoder_decoder(model) else longest
    if prompt + steps - 1 > most:
        raise ValueError(
            f"generate: {_tokens(steps, 'new ')} after {prompt} come to more than the {most} that "
            f"the model reads: at most max_new_tokens={most + 1 - prompt}"
        )


def _tokens(count: int, kind: str = "") -> str:
    return f"{count} {kind}token{'' if count == 1 else 's'}"


def check_ids(model: Any, ids: np.ndarray, config: GenerationConfig) -> None:
    """Refuse ids outside of the vocabularies of which model.config says how large they are."""
    own = getattr(model, "config", None)
    read = getattr(own, "vocab_size", None)
    written = getattr(own, "target_vocab_size", None) if is_encoder_decoder(model) else None
    check_vocabulary(read, {"input_ids": [ids.max()]})
    check_vocabulary(read if written is None else written, config.written_ids)


def check_vocabulary(size: int | None, named: dict[str, list[int]]) -> None:
    """Refuse ids, under their names, from `size` on; None is of no vocabulary."""
    for name, ids in named.items():
        if size is not None and max(ids, default=0) >= size:
            raise ValueError(
                f"generate: {name} {max(ids)} is outside of the model's vocabulary of {size}"
            )
