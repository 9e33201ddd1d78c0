"""`generate`: prompts in, continued texts out, by any model that keeps to the form of `rows`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.generation.beams import Text, beam_search
from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.processors import Processor, pipeline
from tinygrad_llm.generation.prompts import (
    check_lengths,
    check_model,
    check_vocabulary,
    prompts,
)
from tinygrad_llm.generation.rows import DecoderRows, Rows, is_encoder_decoder
from tinygrad_llm.generation.sampling import continue_rows
from tinygrad_llm.graph import no_grad
from tinygrad_llm.nn import Module


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

    model: see `generation.rows`; run without a tape and without dropout, and left as it was.
    attention_mask (B, T): 1 at tokens and 0 at the padding, which stands on the left of prompts;
        None: 0 where pad_token_id stands, if there is one that is no eos token, else 1 everywhere.
    options: fields of `GenerationConfig`, in place of those of generation_config.
    logits_processor: functions (ids (N, T), scores (N, V)) -> scores, of the rows that go on.
    stream: called with each new token's id, of a single row, as soon as it is known.
    Returns sequences (B * num_return_sequences, T + new) int64, those of a row together: prompt,
    new tokens with the end, padding. An encoder-decoder's begin with decoder_start_token_id, and
    hold no prompt. With return_scores a `Generation`.
    The same seed gives the same texts; row i draws the same numbers whatever the other rows are.
    Raises ValueError or TypeError, before the model runs, for what does not fit together.
    """
    config = replace(generation_config or GenerationConfig(), **options)
    ids, mask = prompts(input_ids, attention_mask, config)
    check_model(model, mask, config)
    check_lengths(1 if is_encoder_decoder(model) else ids.shape[1], config)
    if stream is not None and max(len(ids), config.num_beams, config.num_return_sequences) > 1:
        raise ValueError("generate: stream follows one text: give one row, one beam, one sequence")
    with _evaluating(model):
        rows = _open(model, ids, mask, config)
        result = _continued(rows, config, logits_processor, stream)
    return result if return_scores else result.sequences


def _open(model: Any, ids: np.ndarray, mask: np.ndarray, config: GenerationConfig) -> Rows:
    """The rows to be continued, read once."""
    if is_encoder_decoder(model):
        assert config.decoder_start_token_id is not None
        rows: Rows = DecoderRows(model, ids, mask, config.decoder_start_token_id)
    else:
        rows = Rows(model, ids, mask)
    rows.read()
    check_vocabulary(rows.logits.shape[1], rows.ids, config)
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


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Within the block dropout is off and there is no tape; afterwards each module is as before."""
    modules = list(model.modules()) if isinstance(model, Module) else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        with no_grad():
            yield
    finally:
        for module, training in zip(modules, modes):
            module.training = training
