"""`generate`: prompts in, continued texts out, by any model that keeps to the form of `rows`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.generation.beams import Text, beam_search
from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.processors import Processor, check_processors, pipeline
from tinygrad_llm.generation.prompts import (
    check_ids,
    check_lengths,
    check_model,
    check_vocabulary,
    prompts,
)
from tinygrad_llm.generation.rows import DecoderRows, Rows, is_encoder_decoder
from tinygrad_llm.generation.sampling import continue_rows
from tinygrad_llm.graph import no_grad
from tinygrad_llm.nn import Module, evaluating

CONFIGURED = ("decoder_start_token_id", "pad_token_id", "eos_token_id")
"""Settings that a model's own config may give."""


class Generation(NamedTuple):
    """What `generate` gives with return_scores=True.

    sequences (N, T) int64; scores (N,): of beams, log-probability / length ** length_penalty; else
    the log-probability of the new tokens, up to the end, under the scores as they were processed.
    """

    sequences: np.ndarray
    scores: np.ndarray


def generate(
    model: Any,
    input_ids: Any,
    *,
    attention_mask: Any = None,
    generation_config: GenerationConfig | None = None,
    logits_processor: Sequence[Processor] = (),
    stream: Callable[[int], object] | None = None,
    return_scores: bool = False,
    **options: Any,
) -> np.ndarray | Generation:
    """Continue each row of input_ids (B, T): greedily, by sampling (do_sample) or beam search
    (num_beams), as Hugging Face's `generate` does.

    model: see `generation.rows`; run without a tape, a Module without dropout too, and left as it
        was. Around a Module that a function calls, write `with nn.evaluating(module):`.
    attention_mask (B, T): 1 at tokens and 0 at the padding, which stands on the left of prompts;
        None: 0 where pad_token_id stands, if there is one that is no eos token, else 1 everywhere.
    options: fields of `GenerationConfig`, in place of those of generation_config. The
        decoder_start_token_id, pad_token_id and eos_token_id that neither gives are those of
        model.config, where there is one.
    logits_processor: functions (ids (N, T), scores (N, V)) -> scores, of the rows that go on.
    stream: called with each new token's id, of a single row, as soon as it is known.
    Returns sequences (B * num_return_sequences, T + new) int64, those of a row together: prompt,
    new tokens with the end, padding. An encoder-decoder's begin with decoder_start_token_id, and
    hold no prompt. With return_scores a `Generation`.
    The same seed gives the same texts; row i draws the same numbers whatever the other rows are.
    A row where every token is ruled out ends there, if there is a token that ends a text. A beam is
    then given up, or ends where the row would have too few texts without it.
    Raises TypeError or ValueError for settings, prompts and lengths that do not fit together,
    before the model runs, and for ids outside of its vocabulary, if its config says how large that
    is, else once it has answered; later ValueError for logits and scores that are no numbers, for a
    row where every token is ruled out and none ends a text, and for fewer beams that end in a text
    than num_return_sequences; TypeError for answers that are no arrays.
    """
    config = _configured(model, generation_config, options)
    config.check_ends()
    check_processors(logits_processor)
    ids, mask = prompts(input_ids, attention_mask, config)
    check_model(model, mask, config)
    check_lengths(model, mask, config)
    check_ids(model, ids, config)
    _check_returns(
        stream, return_scores, max(len(ids), config.num_beams, config.num_return_sequences)
    )
    with evaluating(model) if isinstance(model, Module) else no_grad():
        rows = _open(model, ids, mask, config)
        result = _continued(rows, config, logits_processor, stream)
    return result if return_scores else result.sequences


def _configured(model: Any, given: Any, options: dict[str, Any]) -> GenerationConfig:
    """The config with the options, and with the ids of the model's own config that neither has."""
    _check_names(options)
    if not isinstance(given, GenerationConfig | None):
        raise TypeError(
            f"generate: generation_config is a {type(given).__name__}: give a GenerationConfig, or "
            "its fields as options"
        )
    config, own = given or GenerationConfig(), getattr(model, "config", None)
    missing = [name for name in CONFIGURED if getattr(config, name) is None]
    found: dict[str, Any] = {name: getattr(own, name, None) for name in missing}
    return replace(config, **found | options)


def _check_names(options: dict[str, Any]) -> None:
    """Refuse options that there are not, and name the one that may be meant."""
    known = [field.name for field in fields(GenerationConfig)]
    for name in options:
        if name not in known:
            close = get_close_matches(name, [*known, *signature(generate).parameters], 1)
            mend = f"{close[0]}?" if close else "GenerationConfig has them all"
            raise TypeError(f"generate: no option {name!r}; {mend}")


def _check_returns(stream: Any, return_scores: Any, texts: int) -> None:
    """Refuse what nothing can be told to, and a stream of several texts."""
    if not isinstance(return_scores, bool):
        raise TypeError(f"generate: return_scores={return_scores!r}: expected True or False")
    if stream is None:
        return
    if not callable(stream):
        raise TypeError(f"generate: stream={stream!r}: expected a function of a token's id")
    if texts > 1:
        raise ValueError("generate: stream follows one text: give one row, one beam, one sequence")


def _open(model: Any, ids: np.ndarray, mask: np.ndarray, config: GenerationConfig) -> Rows:
    """The rows to be continued, read once."""
    if is_encoder_decoder(model):
        assert config.decoder_start_token_id is not None
        rows: Rows = DecoderRows(model, ids, mask, config.decoder_start_token_id)
    else:
        rows = Rows(model, ids, mask)
    rows.read()
    check_vocabulary(rows.logits.shape[1], config.written_ids | {"input_ids": [rows.ids.max()]})
    return rows


def _continued(
    rows: Rows,
    config: GenerationConfig,
    others: Sequence[Processor],
    stream: Callable[[int], object] | None,
) -> Generation:
    processed = pipeline(config, rows.ids.shape[1], others)
    if config.num_beams > 1:
        return _stacked(beam_search(rows, config, processed), config)
    rows.select(np.repeat(np.arange(len(rows.ids)), config.num_return_sequences))
    return Generation(*continue_rows(rows, config, processed, stream))


def _stacked(found: list[list[Text]], config: GenerationConfig) -> Generation:
    """The best texts of every prompt in one array."""
    wanted = config.num_return_sequences
    for row, texts in enumerate(found):
        if len(texts) < wanted:
            raise ValueError(
                f"generate: row {row} has {len(texts)} possible texts, fewer than "
                f"num_return_sequences={wanted}: ask for fewer, or rule out fewer tokens"
            )
    texts = [text for each in found for text in each[:wanted]]
    ids = np.full((len(texts), max(len(text.ids) for text in texts)), config.fill_id)
    for line, text in zip(ids, texts):
        line[: len(text.ids)] = text.ids
    return Generation(ids, np.array([text.score for text in texts]))
