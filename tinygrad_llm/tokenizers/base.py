"""What all tokenizers share: special tokens, pairs, truncation, padding, batches, decoding."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from tinygrad_llm.tokenizers.added import AddedToken
from tinygrad_llm.tokenizers.assemble import assemble
from tinygrad_llm.tokenizers.attributes import Checked
from tinygrad_llm.tokenizers.batch import BatchEncoding, as_arrays, collect
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.checks import (
    check_length,
    check_names,
    check_side,
    row_of,
)
from tinygrad_llm.tokenizers.collate import collate
from tinygrad_llm.tokenizers.encoding import Columns, Encoding
from tinygrad_llm.tokenizers.lengths import pad
from tinygrad_llm.tokenizers.published import read_folder, save_folder
from tinygrad_llm.tokenizers.request import Arguments, Request
from tinygrad_llm.tokenizers.roles import ROLES
from tinygrad_llm.tokenizers.sections import Cutter, Normalized
from tinygrad_llm.tokenizers.template import Template
from tinygrad_llm.tokenizers.vocabulary import Vocabulary

Kind = TypeVar("Kind", bound="Tokenizer")


class Tokenizer(Vocabulary):
    """Turns texts into rows of ids for a model, and ids into text; base of the three kinds.

    It is called as Hugging Face's tokenizers are: `tokenizer(texts, padding=True)`.

    vocab: token -> id.
    added_tokens: found in a text as they are written, or in the normalized text where they say so;
        those of the vocabulary that have a role, and those of the template, are among them without
        being named.
    template: what is put around one text and around two; may be set.
    special_tokens: role -> token, such as {"pad_token": "[PAD]"}; the roles are unk_token,
        pad_token, cls_token, sep_token, mask_token, bos_token and eos_token, and each token is also
        there as `tokenizer.pad_token`, its id as `tokenizer.pad_token_id`, both None for a role
        that nobody has. Where nothing is given, the tokens that are there under their usual names
        get their roles: "[PAD]" or "<pad>", and so on.
    model_max_length: what truncation and padding take where no max_length is given; may be set, as
    padding_side, truncation_side ("right" or "left") and
    model_input_names: the keys that a call answers.

    Raises TypeError and ValueError, naming what is wrong: a role or the template names a token that
    is not there, two tokens share an id, a side is neither left nor right.
    """

    kind: ClassVar[str]
    """Its name in `KINDS`."""

    model_max_length = Checked(check_length)
    padding_side = Checked(check_side)
    truncation_side = Checked(check_side)
    model_input_names = Checked(check_names)

    def __init__(
        self,
        vocab: Mapping[str, int],
        *,
        added_tokens: Sequence[AddedToken] = (),
        template: Template | None = None,
        special_tokens: Mapping[str, str] | None = None,
        model_max_length: int | None = None,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_input_names: Sequence[str] = ("input_ids", "attention_mask"),
    ):
        super().__init__(vocab, added_tokens, special_tokens)
        self.model_max_length = model_max_length
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.model_input_names = model_input_names
        self.template = self._usual_template() if template is None else template

    def _usual_template(self) -> Template:
        return Template.plain()

    @property
    def template(self) -> Template:
        """What is put around one text and around two."""
        return self._template

    @template.setter
    def template(self, template: Template) -> None:
        if not isinstance(template, Template):
            raise TypeError(f"template is of type {type(template).__name__}; give a Template")
        for content in template.special_tokens():
            if content not in self.vocab:
                raise ValueError(f"template: {content!r} is not in the vocabulary; add it first")
        self._template = template
        self._look_for_added()

    def _look_for_added(self) -> None:
        """Find added tokens, those with a role and those of the template in texts from now on."""
        self._number(self.template.special_tokens())
        self._cutter = Cutter(self.added_tokens, self._normalize, self._pieces)

    def __call__(
        self,
        text: str | Sequence[str] | Sequence[Sequence[str]],
        text_pair: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        truncation_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
    ) -> BatchEncoding:
        """Encode one text or many, each alone or with the second text of its pair.

        Args:
            text, text_pair: a string, or a list of them; with is_split_into_words a list of words,
                or a list of such lists. A list of pairs (text, text_pair) can stand for both.
            add_special_tokens: put the template around them.
            padding: True or "longest": to the longest row; "max_length": to max_length.
            truncation: True or "longest_first": the longer text of a pair gives way; "only_first"
                or "only_second": that text alone.
            max_length: of a row, special tokens included; model_max_length where none is given.
            stride: how many tokens of a text one window shares with the next.
            pad_to_multiple_of: make a padded row's length a multiple of this.
            padding_side, truncation_side: "left" or "right" instead of the tokenizer's own.
            return_tensors: "np" for int64 arrays (B, T).
            return_token_type_ids, return_attention_mask: put them in or leave them out; None does
                what model_input_names says.
            return_overflowing_tokens: put a text's further windows in rows after it, and in
                "overflow_to_sample_mapping" which text a row is of.
            return_special_tokens_mask, return_offsets_mapping: put these in too.

        Raises:
            TypeError: a text is no string, or not a list of words where that was said.
            ValueError: an argument does not fit the others, as padding without a pad_token; or a
                text holds a lone surrogate.
        """
        arguments = Arguments(
            add_special_tokens=add_special_tokens,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            is_split_into_words=is_split_into_words,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            truncation_side=truncation_side,
            return_tensors=return_tensors,
            return_token_type_ids=return_token_type_ids,
            return_attention_mask=return_attention_mask,
            return_overflowing_tokens=return_overflowing_tokens,
            return_special_tokens_mask=return_special_tokens_mask,
            return_offsets_mapping=return_offsets_mapping,
        )
        request = Request.of(self, arguments)
        texts, pairs, many = request.texts(text, text_pair)
        rows = [self._encode(*both, request) for both in zip(texts, pairs)]
        if request.padding:
            rows = pad(rows, request.padding)
        batch = collect(rows, request.keys, return_overflowing_tokens)
        if return_tensors == "np":
            return as_arrays(batch)
        if many or return_overflowing_tokens:
            return batch
        return BatchEncoding({key: column[0] for key, column in batch.items()}, batch.encodings)

    def pad(
        self,
        rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Bring rows that were encoded one by one to one length, as a collator does.

        rows: a list of dicts with input_ids and what else belongs to a row, or a dict of lists of
            rows. Masks, types and spans are padded too, and an attention_mask is made where there
            is none; other columns, such as labels, are left as they are, and with
            return_tensors="np" become arrays where their entries are equally long.

        The other arguments are those of a call. Raises what a call does; TypeError and ValueError
        where rows are no such rows.
        """
        if max_length is not None and padding != "max_length":
            raise ValueError("max_length goes with padding='max_length'; leave it out or give both")
        arguments = Arguments(
            padding=padding,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_attention_mask=return_attention_mask,
            return_tensors=return_tensors,
        )
        request = Request.of(self, arguments)
        mask = "attention_mask" in request.keys
        return collate(rows, request.padding, mask, return_tensors == "np")

    def encode(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        **arguments: Any,
    ) -> Any:
        """The ids of one text, or of a pair, with special tokens: the input_ids of a call, whose
        arguments it takes. A list of integers; with return_overflowing_tokens a list of rows, with
        return_tensors="np" an array (B, T)."""
        if not isinstance(text, str) and not arguments.get("is_split_into_words"):
            raise TypeError(
                f"encode takes one text, not {type(text).__name__}; call the tokenizer for many"
            )
        return self(text, text_pair, **arguments)["input_ids"]

    def tokenize(
        self, text: str, text_pair: str | None = None, add_special_tokens: bool = False
    ) -> list[str]:
        """The tokens of a text as the vocabulary writes them."""
        return self(text, text_pair, add_special_tokens=add_special_tokens).tokens()

    def decode(self, ids: int | Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of a row of ids (any iterable of integers, an array too). Added tokens are
        written as the vocabulary has them, also those that were found in normalized text.

        Raises:
            TypeError: one of them is no integer.
            ValueError: an id is not in the vocabulary, or there are several rows.
        """
        numbers = row_of(ids)
        if skip_special_tokens:
            numbers = [id for id in numbers if id not in self._special_ids]
        return self._join(numbers, self.convert_ids_to_tokens(numbers))

    def batch_decode(
        self, rows: Iterable[Iterable[int]], skip_special_tokens: bool = False
    ) -> list[str]:
        """The text of each row of ids."""
        return [self.decode(row, skip_special_tokens) for row in rows]

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the tokenizer into a folder, which is made where it is missing, in the files that
        Hugging Face's libraries read: tokenizer.json, tokenizer_config.json, and the vocabulary."""
        save_folder(self, folder)

    @classmethod
    def from_pretrained(cls: type[Kind], folder: str | os.PathLike[str], **overrides: Any) -> Kind:
        """The tokenizer of a folder with tokenizer.json, vocab.txt, or vocab.json and merges.txt;
        nothing is downloaded. `Tokenizer.from_pretrained` gives the kind that is there.

        overrides: arguments of the class, or roles, that count for more than what the files say,
            such as padding_side="left".

        Raises:
            FileNotFoundError: there is no such folder, or none of these files in it.
            ValueError: a file is broken, holds what we cannot do, or another kind than the class.
        """
        kind, arguments = read_folder(folder)
        found = KINDS[kind]
        if not issubclass(found, cls):
            raise ValueError(
                f"{folder} holds a {found.__name__}, not a {cls.__name__}; use "
                f"{found.__name__}.from_pretrained"
            )
        roles = {role: overrides.pop(role) for role in ROLES if role in overrides}
        roles = {**arguments["special_tokens"], **roles}
        return found(**{**arguments, "special_tokens": roles, **overrides})

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__:
            KINDS[cls.kind] = cls

    def _encode(self, text: Any, text_pair: Any, request: Request) -> Encoding:
        """One row, with its further windows."""
        texts = [self._read(text, 0, request.words)]
        if text_pair is not None:
            texts.append(self._read(text_pair, 1, request.words))
        return assemble(texts, self.template, self.vocab.__getitem__, request)

    def _read(self, text: Any, sequence: int, words: bool) -> Encoding:
        """A text, or a list of words, without special tokens around it."""
        if words:
            each = [self._columns(word) for word in text]
            ids, starts, ends = ([n for word in each for n in word[i]] for i in range(3))
            numbers = [number for number, word in enumerate(each) for _ in word[0]]
        else:
            ids, starts, ends, numbers = self._columns(text)
        n, tokens = len(ids), self._tokens
        return Encoding(
            ids,
            tokens=[tokens[id] for id in ids],
            offsets=list(zip(starts, ends)),
            type_ids=[sequence] * n,
            attention_mask=[1] * n,
            special_tokens_mask=[0] * n,
            word_ids=[*numbers],
            sequence_ids=[sequence] * n,
        )

    def _columns(self, text: str) -> Columns:
        """The tokens of a text: added ones, and the pieces of what stands between them."""
        to_utf8(text)
        return self._cutter.columns(text)

    def _normalize(self, text: str) -> Normalized:
        """What is done to a text before it is cut."""
        return text, None

    @abstractmethod
    def _pieces(self, text: str) -> Columns:
        """The tokens of a normalized text without added ones; words are counted from 0."""

    @abstractmethod
    def _join(self, ids: list[int], tokens: list[str]) -> str:
        """The text of tokens."""


KINDS: dict[str, type[Tokenizer]] = {}
"""Each kind of tokenizer by its name."""
