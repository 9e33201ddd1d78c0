"""GenerationConfig: every setting of a generation, checked before anything else happens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

NEW_TOKENS = 20
"""How many tokens are generated when nobody says."""

GREATEST = 2**63 - 1
"""Of all integers here: token ids stand in arrays of int64."""

STEEPEST = 16.0
"""Of length penalties, either way: every length up to GREATEST has a power that is a float."""

SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": None}
"""Settings that only sampling reads, and the values at which they do nothing."""

BEAMS = {"length_penalty": 1.0, "early_stopping": False}
"""Settings that only beam search reads, and their usual values."""

WITH_EOS = {**BEAMS, "min_new_tokens": 0, "min_length": 0}
"""Settings that mean something only where a text can end."""


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of `generate`, by Hugging Face's names and with their meaning.

    One other default than there: top_k is 0, no limit (there: 50). A setting that could have no
    effect beside the others, such as a temperature without sampling, is refused, not ignored. Of
    eos_token_id, pad_token_id and decoder_start_token_id the model's own config knows those that
    are None here.
    Raises ValueError or TypeError that names the setting and the mend.
    """

    max_new_tokens: int | None = None
    """How many tokens at most; 20 when neither this nor max_length is given."""
    max_length: int | None = None
    """How long the whole sequence may become, prompt and its padding included."""
    min_new_tokens: int = 0
    """No end before so many new tokens."""
    min_length: int = 0
    """No end before the sequence, prompt and its padding included, is so long."""
    do_sample: bool = False
    """Draw each token by its probability, not take the most probable one."""
    temperature: float = 1.0
    """Scores are divided by it before all else: below 1 sharper, above 1 flatter."""
    top_k: int = 0
    """Draw from the k most probable tokens; 0: from all."""
    top_p: float = 1.0
    """Draw from the fewest most probable tokens that have this probability together."""
    min_p: float = 0.0
    """Draw from tokens of at least this share of the greatest probability."""
    seed: int | None = None
    """Of the draws; None: the stream "generation", which `manual_seed` seeds."""
    repetition_penalty: float = 1.0
    """Above 1: tokens that stand in the text already become less probable."""
    no_repeat_ngram_size: int = 0
    """No n tokens in a row occur twice; 0: they may."""
    num_beams: int = 1
    """How many continuations of each row are followed side by side."""
    length_penalty: float = 1.0
    """A beam's score is its log-probability / length ** length_penalty: above 0 favours longer
    texts. From -16 to 16."""
    early_stopping: bool | str = False
    """When a row's search ends, once num_beams texts are finished. True: at once. False: when the
    best beam, scored at its present length, is no better than the worst of them. "never": the same,
    at the greatest length it may have, so that no better text is missed."""
    num_return_sequences: int = 1
    """How many samples, or how many of the best beams, are given for each row."""
    eos_token_id: int | Sequence[int] | np.ndarray | None = None
    """The token, or tokens, that end a text."""
    pad_token_id: int | None = None
    """What stands after the end; None: the first eos token."""
    forced_eos_token_id: int | Sequence[int] | np.ndarray | None = None
    """The token that comes last where a text reaches its greatest length."""
    decoder_start_token_id: int | None = None
    """An encoder-decoder's first token."""

    def __post_init__(self) -> None:
        self._check_numbers()
        for name in ("eos_token_id", "forced_eos_token_id"):
            self._check_ids(name, getattr(self, name))
        if not isinstance(self.do_sample, bool):
            raise TypeError(_wrong("do_sample", self.do_sample, "True or False"))
        early = self.early_stopping
        if not isinstance(early, bool) and early != "never":
            raise ValueError(_wrong("early_stopping", early, 'True, False or "never"'))
        self._check_together()

    def _check_numbers(self) -> None:
        for name in ("num_beams", "num_return_sequences", "max_new_tokens", "max_length"):
            _integer(name, getattr(self, name), 1)
        for name in ("min_new_tokens", "min_length", "top_k", "no_repeat_ngram_size"):
            _integer(name, getattr(self, name), 0)
        for name in ("seed", "pad_token_id", "decoder_start_token_id"):
            _integer(name, getattr(self, name), 0)
        for name in ("temperature", "repetition_penalty"):
            if _number(name, getattr(self, name)) <= 0.0:
                raise ValueError(_wrong(name, getattr(self, name), "above 0"))
        if abs(_number("length_penalty", self.length_penalty)) > STEEPEST:
            raise ValueError(_wrong("length_penalty", self.length_penalty, "from -16 to 16"))
        if not 0.0 < _number("top_p", self.top_p) <= 1.0:
            raise ValueError(_wrong("top_p", self.top_p, "above 0 and at most 1"))
        if not 0.0 <= _number("min_p", self.min_p) <= 1.0:
            raise ValueError(_wrong("min_p", self.min_p, "from 0 to 1"))

    def _check_ids(self, name: str, ids: Any) -> None:
        """Refuse what is neither a token id nor some of them; an array is kept as a list."""
        if isinstance(ids, np.ndarray):
            object.__setattr__(self, name, ids.tolist())
        listed = _listed(name, getattr(self, name))
        if ids is not None and not listed:
            raise ValueError(_wrong(name, ids, "a token id at least, or None"))
        for each in listed:
            _integer(name, each, 0)

    def _check_together(self) -> None:
        """Refuse settings that contradict each other, or that would do nothing."""
        if self.max_new_tokens is not None and self.max_length is not None:
            raise ValueError("generate: max_new_tokens and max_length are both given: give one")
        if self.do_sample and self.num_beams > 1:
            raise ValueError(
                f"generate: beam search does not draw: num_beams=1 with do_sample=True, or "
                f"do_sample=False with num_beams={self.num_beams}"
            )
        if not self.do_sample:
            self._refuse(SAMPLING, "do_sample=True")
            count, mend = self.num_return_sequences, "do_sample=True, or as many num_beams"
            if count > self.num_beams:
                raise ValueError(_wrong("num_return_sequences", count, mend))
        if self.num_beams == 1:
            self._refuse(BEAMS, "num_beams above 1")

    def check_ends(self) -> None:
        """Refuse settings about the end of a text where no token ends one; to be asked when the
        model's own config has been looked at."""
        if self.eos_token_id is None:
            self._refuse(WITH_EOS, "an eos_token_id")

    def _refuse(self, settings: dict[str, Any], missing: str) -> None:
        for name, usual in settings.items():
            if getattr(self, name) != usual:
                raise ValueError(_wrong(name, getattr(self, name), f"{missing}, or leave it out"))

    @property
    def eos_ids(self) -> list[int]:
        """The tokens that end a text; empty when none does."""
        return _listed("eos_token_id", self.eos_token_id)

    @property
    def forced_eos_ids(self) -> list[int]:
        return _listed("forced_eos_token_id", self.forced_eos_token_id)

    @property
    def written_ids(self) -> dict[str, list[int]]:
        """Tokens that the model reads or must be able to write, under the names of settings."""
        start = _listed("decoder_start_token_id", self.decoder_start_token_id)
        ends = {"eos_token_id": self.eos_ids, "forced_eos_token_id": self.forced_eos_ids}
        return {"decoder_start_token_id": start, **ends}

    @property
    def fill_id(self) -> int:
        """What stands after the end of a text: without an eos token no text ends before others."""
        return self.pad_token_id if self.pad_token_id is not None else (self.eos_ids or [0])[0]

    def most_new_tokens(self, prompt: int) -> int:
        """How many tokens may follow a prompt of this length."""
        if self.max_length is not None:
            return int(self.max_length) - prompt
        return int(self.max_new_tokens or NEW_TOKENS)


def _listed(name: str, ids: Any) -> list[Any]:
    """No id, one, or several as a list."""
    if ids is None:
        return []
    if isinstance(ids, Integral):
        return [ids]
    if isinstance(ids, str) or not isinstance(ids, Sequence):
        raise TypeError(_wrong(name, ids, "an integer or a list of integers"))
    return list(ids)


def _wrong(name: str, value: Any, expected: str) -> str:
    return f"generate: {name}={value!r}: expected {expected}"


def _integer(name: str, value: Any, least: int) -> None:
    """Refuse what is no integer from `least` to GREATEST; None stands for one that is not given."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(_wrong(name, value, "an integer"))
    if value < least:
        raise ValueError(_wrong(name, value, f"at least {least}"))
    if int(value) > GREATEST:
        raise ValueError(_wrong(name, value, f"at most {GREATEST}"))


def _number(name: str, value: Any) -> float:
    """Refuse what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(_wrong(name, value, "a number"))
    if not math.isfinite(value):
        raise ValueError(_wrong(name, value, "a finite number"))
    return float(value)
