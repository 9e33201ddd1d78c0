"""What is done to the scores of the next token before one is chosen: scores (N, V) in and out.

Each is a function of scores and a setting, with the ids (N, T) of the rows where it looks at the
text. A token that is ruled out gets -inf; what comes in is never changed. `pipeline` lines up those
that a GenerationConfig asks for, in Hugging Face's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.generation.configuration import SAMPLING, GenerationConfig
from tinygrad_llm.generation.rows import Rows
from tinygrad_llm.ops.softmax import log_softmax

Processor = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(ids (N, T), scores (N, V)) -> scores (N, V), as Hugging Face's logits processors are called."""


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def temperature(scores: np.ndarray, degree: float) -> np.ndarray:
    """s / degree: it comes before the filters (G34)."""
    return scores / degree


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
    ids: np.ndarray, scores: np.ndarray, penalty: float, mask: np.ndarray | None = None
) -> np.ndarray:
    """s * penalty where s < 0, s / penalty elsewhere, for every token of the text, prompt included
    (Keskar et al. 2019, "CTRL"). mask (N, T): 0 at padding, which is not counted.
    """
    row, column = np.nonzero(np.ones_like(ids) if mask is None else mask)
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


FILTERS = (temperature, top_k, top_p, min_p)
"""Functions of sampling in their order; each has the name of its setting."""


def pipeline(
    config: GenerationConfig, prompt: int, others: Sequence[Processor] = ()
) -> Callable[[Rows], np.ndarray]:
    """All that `config` asks for after prompts of this length, as one function: rows -> scores.

    `others`, the caller's own, come after those about the text and before those of sampling.
    The function raises ValueError for scores that are no numbers, TypeError or ValueError for what
    is no array (N, V) of floats.
    """
    steps = [*_about_the_text(config, prompt), *map(_of_ids, others), *_filters(config)]

    def processed(rows: Rows) -> np.ndarray:
        scores = log_softmax(np, rows.logits, -1) if config.num_beams > 1 else rows.logits
        with np.errstate(over="ignore", invalid="ignore"):  # refused below, with the row's number
            for step in steps:
                scores = step(rows, scores)
        _check_numbers(rows, scores)
        return scores

    return processed


Step = Callable[[Rows, np.ndarray], np.ndarray]


def _about_the_text(config: GenerationConfig, prompt: int) -> list[Step]:
    steps: list[Step] = []
    penalty, size = config.repetition_penalty, config.no_repeat_ngram_size
    if penalty != 1.0:
        steps.append(lambda rows, s: repetition_penalty(rows.ids, s, penalty, rows.mask))
    if size:
        steps.append(lambda rows, s: no_repeat_ngram(rows.ids, s, size))
    least, most = prompt + config.min_new_tokens, prompt + config.most_new_tokens(prompt)
    least = max(config.min_length, least)
    if least > prompt:
        steps.append(lambda rows, s: no_end_before(rows.ids, s, least, config.eos_ids))
    if config.forced_eos_ids:
        steps.append(lambda rows, s: forced_end(rows.ids, s, most, config.forced_eos_ids))
    return steps


def _filters(config: GenerationConfig) -> list[Step]:
    """Those of sampling that do something."""
    settings = [(each, getattr(config, each.__name__)) for each in FILTERS]
    return [_of_scores(f, value) for f, value in settings if value != SAMPLING[f.__name__]]


def _of_scores(function: Callable[..., np.ndarray], setting: float) -> Step:
    return lambda rows, scores: function(scores, setting)


def _of_ids(processor: Processor) -> Step:
    return lambda rows, scores: _checked(processor(rows.ids, scores), scores.shape)


def check_processors(given: Any) -> None:
    """Refuse what is no list of functions."""
    if isinstance(given, Sequence) and all(map(callable, given)):
        return
    raise TypeError(
        f"generate: logits_processor={given!r}: expected a list of functions "
        "(ids, scores) -> scores, [f] for one"
    )


def _checked(scores: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What a caller's own processor gave, if it is of the kind that it was given."""
    if not isinstance(scores, np.ndarray) or scores.dtype.kind != "f":
        kind = scores.dtype if isinstance(scores, np.ndarray) else type(scores).__name__
        raise TypeError(f"generate: a logits_processor gave {kind}, expected an array of floats")
    if scores.shape != shape:
        raise ValueError(
            f"generate: a logits_processor gave scores {scores.shape}, expected {shape}, a row for "
            "each row of ids"
        )
    return scores


def _check_numbers(rows: Rows, scores: np.ndarray) -> None:
    """Refuse NaN and +inf: the model's own are refused before, so a step has made them."""
    wrong = ~(scores.max(axis=-1) < np.inf)
    if wrong.any():
        raise ValueError(
            "generate: a logits_processor (or temperature, or repetition_penalty) made NaN or +inf "
            f"in row {rows.numbers[wrong.argmax()]}"
        )
