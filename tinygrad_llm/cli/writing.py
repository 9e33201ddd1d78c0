"""The writer of `tinygrad-llm generate`: a model with its tokenizer, and how texts are shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_llm import models
from tinygrad_llm.generation import GenerationConfig, generate
from tinygrad_llm.tokenizers import TextStream, Tokenizer


class Writer:
    """The model and the tokenizer of a folder, ready to go on with prompts as `config` says.

    What neither the config nor the model says of the tokens that begin and end a text, the
    tokenizer says. Raises ValueError where the folder's model writes no texts or its files do not
    fit each other, and what `models.from_pretrained` and `Tokenizer.from_pretrained` raise.
    """

    def __init__(self, folder: str, device: str, config: GenerationConfig):
        self._model: Any = models.from_pretrained(folder)
        if not isinstance(self._model, models.GPT2LMHeadModel):
            raise ValueError(
                f"{folder} holds a {type(self._model).__name__}, which does not go on with texts; "
                "give the folder of a GPT2LMHeadModel"
            )
        self._tokenizer = Tokenizer.from_pretrained(folder)
        _check_fit(folder, self._model.config.vocab_size, self._tokenizer)
        self._model.to(device)
        self._start = _first(self._model.config.bos_token_id, self._tokenizer.bos_token_id)
        own = self._model.config.eos_token_id
        ends = _first(config.eos_token_id, own, self._tokenizer.eos_token_id)
        self._config = replace(config, eos_token_id=ends)
        self._processors = _shown_alone(self._model.config.vocab_size, self._tokenizer)

    def write(self, prompt: str, where: str = "") -> None:
        """Print the prompt and how it goes on; token by token, where it is one text alone.

        where: what the numbers of several texts stand after, as "line 3".
        """
        ids = self._ids(prompt)
        if max(self._config.num_beams, self._config.num_return_sequences) > 1:
            self._write_several(prompt, ids, where)
        else:
            self._stream(prompt, ids)

    def _ids(self, prompt: str) -> list[int]:
        """The tokens to go on from."""
        ids = self._tokenizer.encode(prompt, add_special_tokens=False)
        unknown = ids.count(self._tokenizer.unk_token_id)
        if unknown:
            print(
                f"note: the vocabulary lacks {unknown} of the prompt's {len(ids)} tokens; the "
                f"model reads {self._tokenizer.unk_token} there",
                file=sys.stderr,
            )
        if ids or self._start is not None:
            return ids or [self._start]
        raise ValueError("the prompt is empty, and no token begins a text: give a --prompt")

    def _stream(self, prompt: str, ids: list[int]) -> None:
        text, begun = TextStream(self._tokenizer, ids, skip_special_tokens=True), False

        def show(token: int) -> None:
            nonlocal begun
            _put(text.add(token) if begun else prompt + text.add(token))
            begun = True

        try:
            self._generate(ids, stream=show)
        finally:  # after Ctrl-C too, the line is ended
            if begun:
                _put(text.end() + "\n")

    def _write_several(self, prompt: str, ids: list[int], where: str) -> None:
        """The best beams, or all samples; several are numbered, with an empty line after each."""
        found = self._generate(ids, return_scores=True)
        several = len(found.sequences) > 1
        for number, (row, score) in enumerate(zip(found.sequences, found.scores), start=1):
            name = f"{where}, {number}" if where else str(number)
            if several:
                _put(f"[{name}] score {score:.4g}\n")
            _put(f"{prompt}{self._text(ids, row[len(ids) :])}\n" + "\n" * several)

    def _generate(self, ids: list[int], **how: Any) -> Any:
        return generate(
            self._model,
            [ids],
            attention_mask=[[1] * len(ids)],
            generation_config=self._config,
            logits_processor=self._processors,
            **how,
        )

    def _text(self, ids: list[int], new: np.ndarray) -> str:
        """What the new tokens, up to the end of the text, add to it."""
        ends = np.flatnonzero(np.isin(new, self._config.eos_ids))
        new = new[: ends[0] + 1] if ends.size else new
        text = TextStream(self._tokenizer, ids, skip_special_tokens=True)
        return "".join(map(text.add, new.tolist())) + text.end()


def _check_fit(folder: str, size: int, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer with tokens that the model does not know."""
    most = max(tokenizer.vocab.values(), default=-1)
    if most >= size:
        raise ValueError(
            f"{folder}: the numbers of its tokenizer's files go up to {most}, and config.json has "
            f"a vocabulary of {size}: put the tokenizer there that the model was trained with"
        )


def _first(*values: Any) -> Any:
    """The first that is not None, if there is one."""
    return next((value for value in values if value is not None), None)


def _shown_alone(size: int, tokenizer: Tokenizer) -> list[Callable]:
    """Rules out tokens that the tokenizer cannot write, where the model has some more."""
    lacking = np.setdiff1d(np.arange(size), list(tokenizer.vocab.values()))
    if not lacking.size:
        return []

    def rule_out(ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        scores = scores.copy()
        scores[:, lacking] = -np.inf
        return scores

    return [rule_out]


def _put(text: str) -> None:
    """Show it now."""
    sys.stdout.write(text)
    sys.stdout.flush()
