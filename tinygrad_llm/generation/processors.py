"""What is done to the scores of the next token before one is chosen: scores (N, V) in and out.

Each is a function of scores and a setting, with the ids (N, T) of the rows where it looks at the
text. A token that is ruled out gets -inf; what comes in is never changed. `processors_of` lines up
those that a GenerationConfig asks for, in Hugging Face's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tinygrad_llm.generation.configuration import SAMPLING, GenerationConfig

Processor = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(ids (N, T), scores (N, V)) -> scores (N, V), as Hugging Face's logits processors are called."""


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """log(e^{s_i} / sum_j e^{s_j}) over the last axis; tokens at -inf stay there."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    return np.exp(log_softmax(scores))


def temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """s / temperature: it comes before the filters (G34)."""
    return scores / temperature


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """The k greatest scores; others as great as the last of these stay too."""
    k = min(k, scores.shape[-1])
    least = np.partition(scores, -k, axis=-1)[:, -k, None]
    return np.where(scores < least, -np.inf, scores)


def top_p(scores: np.ndarray, p: float) -> np.ndarray:
    """The fewest most probable tokens whose probabilities reach p: the one that crosses stays
    (G34; Holtzman et al. 2020, "The curious case of neural text degeneration").

    Of equally probable tokens the last ones stay.
    """
    order = np.argsort(scores, axis=-1, kind="stable")
    mass = softmax(np.take_along_axis(scores, order, axis=-1)).cumsum(axis=-1)
    drop = mass <= 1.0 - p
    drop[:, -1] = False
    dropped = np.empty_like(drop)
    np.put_along_axis(dropped, order, drop, axis=-1)
    return np.where(dropped, -np.inf, scores)


def min_p(scores: np.ndarray, p: float) -> np.ndarray:
    """Tokens of at least p times the greatest probability (Nguyen et al. 2024)."""
    most = scores.max(axis=-1, keepdims=True)
    return np.where(np.exp(scores - most) < p, -np.inf, scores)


def repetition_penalty(
    ids: np.ndarray, scores: np.ndarray, penalty: float, starts: np.ndarray | None = None
) -> np.ndarray:
    """s * penalty where s < 0, s / penalty elsewhere, for every token of the text, prompt included
    (Keskar et al. 2019, "CTRL").

    starts (B,): where each prompt begins after its padding, which is not counted; N is a multiple
    of B, and rows of one prompt stand together.
    """
    starts = np.zeros(len(ids), dtype=int) if starts is None else starts
    begins = np.repeat(starts, len(ids) // len(starts))[:, None]
    row, column = np.nonzero(np.arange(ids.shape[1]) >= begins)
    seen = np.zeros(scores.shape, dtype=bool)
    seen[row, ids[row, column]] = True
    return np.where(seen, np.where(scores < 0, scores * penalty, scores / penalty), scores)


def no_repeat_ngram(ids: np.ndarray, scores: np.ndarray, size: int) -> np.ndarray:
    """Rule out every token that would make the last `size` tokens occur twice, padding included."""
    out = scores.copy()
    if ids.shape[1] < size:
        return out
    grams = np.lib.stride_tricks.sliding_window_view(ids, size, axis=1)  # (N, T-size+1, size)
    last = ids[:, None, ids.shape[1] - size + 1 :]
    row, place = np.nonzero((grams[:, :, :-1] == last).all(axis=-1))
    out[row, grams[row, place, -1]] = -np.inf
    return out


def no_end_before(
    ids: np.ndarray, scores: np.ndarray, length: int, eos: Sequence[int]
) -> np.ndarray:
    """Rule out the eos tokens while the text, padding included, is shorter than `length`."""
    out = scores.copy()
    if ids.shape[1] < length:
        out[:, eos] = -np.inf
    return out


def forced_end(ids: np.ndarray, scores: np.ndarray, length: int, eos: Sequence[int]) -> np.ndarray:
    """Rule out all but the eos tokens, whose scores become 0, as the last of `length` tokens."""
    if ids.shape[1] != length - 1:
        return scores
    out = np.full_like(scores, -np.inf)
    out[:, eos] = 0.0
    return out


def processors_of(
    config: GenerationConfig, mask: np.ndarray, others: Sequence[Processor] = ()
) -> list[Processor]:
    """What `config` asks for after prompts with the attention mask (B, T); `others`, the caller's
    own, come after those about the text and before those of sampling."""
    steps = [*_about_the_text(config, mask), *others]
    for function, name in FILTERS.items():
        if config.do_sample and getattr(config, name) != SAMPLING[name]:
            steps.append(_of_scores(function, getattr(config, name)))
    return steps


FILTERS = {temperature: "temperature", top_k: "top_k", top_p: "top_p", min_p: "min_p"}
"""Functions of sampling in their order -> the setting of each."""


def _about_the_text(config: GenerationConfig, mask: np.ndarray) -> list[Processor]:
    prompt, steps = mask.shape[1], []
    most = prompt + config.most_new_tokens(prompt)
    if config.repetition_penalty != 1.0:
        given = {"penalty": config.repetition_penalty, "starts": mask.argmax(axis=1)}
        steps.append(partial(repetition_penalty, **given))
    if config.no_repeat_ngram_size:
        steps.append(partial(no_repeat_ngram, size=config.no_repeat_ngram_size))
    least = max(config.min_length, prompt + config.min_new_tokens)
    if least > prompt:
        steps.append(partial(no_end_before, length=least, eos=config.eos_ids))
    if config.forced_eos_ids:
        steps.append(partial(forced_end, length=most, eos=config.forced_eos_ids))
    return steps


def _of_scores(function: Callable[..., np.ndarray], setting: float) -> Processor:
    """A function of scores alone as a processor."""
    return lambda ids, scores: function(scores, setting)
