"""What all tokenizers share: special tokens, pairs, truncation, padding, batches, decoding."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from tinygrad_llm.tokenizers.added import AddedToken, Finder, check_added
from tinygrad_llm.tokenizers.batch import BatchEncoding, as_arrays, collect
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.checks import check_length, check_vocab, row_of
from tinygrad_llm.tokenizers.encoding import Encoding
from tinygrad_llm.tokenizers.lengths import SIDES, pad, truncate
from tinygrad_llm.tokenizers.request import Request
from tinygrad_llm.tokenizers.roles import ROLES, Role, RoleId, conventional_roles
from tinygrad_llm.tokenizers.template import Template

Columns = tuple[list[int], list[int], list[int], list[int]]
"""Of the tokens of a text: ids, starts and ends (exclusive) in it, numbers of their words."""

Kind = TypeVar("Kind", bound="Tokenizer")


class Tokenizer(ABC):
    """Turns texts into rows of ids for a model, and ids into text; base of the three kinds.

    It is called as Hugging Face's tokenizers are: `tokenizer(texts, padding=True)`.

    vocab: token -> id.
    added_tokens: found in a text as they are written; those of the vocabulary that have a role, and
        those of the template, are among them without being named.
    template: what is put around one text and around two.
    special_tokens: role -> token, such as {"pad_token": "[PAD]"}; the roles are unk_token,
        pad_token, cls_token, sep_token, mask_token, bos_token and eos_token, and each token is also
        there as `tokenizer.pad_token`, its id as `tokenizer.pad_token_id`, both None for a role
        that nobody has. Where nothing is given, the tokens that are there under their usual names
        get their roles: "[PAD]" or "<pad>", and so on.
    model_max_length: what truncation and padding take where no max_length is given.
    padding_side, truncation_side: "right" or "left".
    model_input_names: the keys that a call answers.

    Raises TypeError and ValueError, naming what is wrong: a role or the template names a token that
    is not there, two tokens share an id, a side is neither left nor right.
    """

    kind: ClassVar[str]
    """Its name in `KINDS`."""

    unk_token = Role()
    pad_token = Role()
    cls_token = Role()
    sep_token = Role()
    mask_token = Role()
    bos_token = Role()
    eos_token = Role()
    unk_token_id = RoleId()
    pad_token_id = RoleId()
    cls_token_id = RoleId()
    sep_token_id = RoleId()
    mask_token_id = RoleId()
    bos_token_id = RoleId()
    eos_token_id = RoleId()

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
        for name, side in (("padding_side", padding_side), ("truncation_side", truncation_side)):
            if side not in SIDES:
                raise ValueError(f"{name} is {side!r}; give 'left' or 'right'")
        check_vocab(vocab)
        check_added(added_tokens, dict(vocab))
        self.vocab = {**vocab, **{token.content: token.id for token in added_tokens}}
        self.special_tokens = _roles(special_tokens, self.vocab)
        self.template = template or self._usual_template()
        self.added_tokens = list(added_tokens)
        self.model_max_length = check_length(model_max_length)
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.model_input_names = tuple(model_input_names)
        self._look_for_added()

    def _usual_template(self) -> Template:
        return Template.plain()

    def _look_for_added(self) -> None:
        """Take special tokens with a role or a place in the template among the added ones, and
        look for all of them from now on."""
        added = {token.content: token for token in self.added_tokens}
        for content in (*self.special_tokens.values(), *self.template.special_tokens()):
            if content not in self.vocab:
                raise ValueError(f"template: {content!r} is not in the vocabulary")
            added.setdefault(content, AddedToken(content, self.vocab[content]))
        self.added_tokens = sorted(added.values(), key=lambda token: token.id)
        self._tokens = {id: token for token, id in self.vocab.items()}
        self._special_ids = {token.id for token in self.added_tokens if token.special}
        self._added_ids = {token.id for token in self.added_tokens}
        self._finder = Finder({t.content: t for t in self.added_tokens if self._is_early(t)})

    def _is_early(self, token: AddedToken) -> bool:
        """Whether an added token is looked for in the text as it is written."""
        return True

    def add_tokens(self, tokens: str | Sequence[str], special: bool = False) -> int:
        """Put tokens at the end of the vocabulary, which are found in texts as they are written;
        returns how many of them are new. A model needs a row of its embedding for each.

        Raises:
            ValueError: a token is empty.
        """
        new = [tokens] if isinstance(tokens, str) else list(tokens)
        new = [token for token in dict.fromkeys(new) if token not in self.vocab]
        first = max(self.vocab.values(), default=-1) + 1
        added = [AddedToken(token, first + i, special) for i, token in enumerate(new)]
        check_added(added, self.vocab)
        self.vocab |= {token.content: token.id for token in added}
        self.added_tokens += added
        self._look_for_added()
        return len(added)

    def set_role(self, role: str, token: str | None) -> None:
        """Give a role to a token of the vocabulary; `tokenizer.pad_token = token` does it too. None
        takes the role away. ValueError where there is no such role or token."""
        roles = {k: v for k, v in self.special_tokens.items() if k != role}
        self.special_tokens = _roles(roles if token is None else {**roles, role: token}, self.vocab)
        self._look_for_added()

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, added ones included."""
        return len(self.vocab)

    def __len__(self) -> int:
        return len(self.vocab)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tokens, {self.special_tokens})"

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
                or a list of such lists.
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
        arguments = {k: v for k, v in locals().items() if k not in ("self", "text", "text_pair")}
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

    def encode(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        **arguments: Any,
    ) -> list[int]:
        """The ids of one text, or of a pair, with special tokens; arguments as for a call."""
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
        """The text of a row of ids (any iterable of integers, an array too).

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

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or of each in a list; of an unknown one, that of unk_token.

        Raises:
            ValueError: a token is unknown and there is no unk_token.
        """
        if isinstance(tokens, str):
            return self._id_of(tokens)
        return [self._id_of(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        """The token of an id, or of each in a list.

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        tokens = self._tokens
        try:
            return [tokens[id] for id in ids] if isinstance(ids, Iterable) else tokens[ids]
        except KeyError as error:
            raise ValueError(
                f"id {error.args[0]} is not in the vocabulary of {len(self)} tokens; decode ids "
                "made with this vocabulary"
            ) from None

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the tokenizer into a folder, which is made where it is missing, in the files that
        Hugging Face's libraries read: tokenizer.json, tokenizer_config.json, and the vocabulary."""
        from tinygrad_llm.tokenizers.published import save_folder

        save_folder(self, folder)

    @classmethod
    def from_pretrained(cls: type[Kind], folder: str | os.PathLike[str]) -> Kind:
        """The tokenizer of a folder with tokenizer.json, vocab.txt, or vocab.json and merges.txt.

        `Tokenizer.from_pretrained` gives the kind that is there.

        Raises:
            FileNotFoundError: there is no such folder, or none of these files in it.
            ValueError: a file is broken, holds what we cannot do, or another kind than the class.
        """
        from tinygrad_llm.tokenizers.published import read_folder

        kind, arguments = read_folder(folder)
        found = KINDS[kind]
        if not issubclass(found, cls):
            raise ValueError(
                f"{folder} holds a {found.__name__}, not a {cls.__name__}; use "
                f"{found.__name__}.from_pretrained"
            )
        return found(**arguments)

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__:
            KINDS[cls.kind] = cls

    def _encode(self, text: Any, text_pair: Any, request: Request) -> Encoding:
        """One row, with its further windows."""
        texts = [self._read(text, 0, request.words)]
        if text_pair is not None:
            texts.append(self._read(text_pair, 1, request.words))
        special = self.template.count(len(texts) == 2) if request.add_special_tokens else 0
        windows = [[text] for text in texts]
        if request.truncation:
            windows = truncate(texts, special, request.truncation)
        combinations = _combinations(windows) if request.overflowing else [[w[0] for w in windows]]
        rows = [
            self.template.fill(parts, self.vocab.__getitem__, request.add_special_tokens)
            for parts in combinations
        ]
        rows[0].overflowing = rows[1:]
        return rows[0]

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
        columns: Columns = ([], [], [], [])
        ids, starts, ends, words = columns
        for start, end, added in self._finder.sections(text):
            if not ids and not added and end == len(text):
                return self._pieces(text)
            own = ([added.id], [0], [end - start], [0]) if added else self._pieces(text[start:end])
            word = words[-1] + 1 if words else 0
            ids += own[0]
            starts += [start + first for first in own[1]]
            ends += [start + last for last in own[2]]
            words += [word + number for number in own[3]]
        return columns

    @abstractmethod
    def _pieces(self, text: str) -> Columns:
        """The tokens of a text without added ones; words are counted from 0."""

    @abstractmethod
    def _join(self, ids: list[int], tokens: list[str]) -> str:
        """The text of tokens."""

    def _id_of(self, token: str) -> int:
        id = self.vocab.get(token, self.unk_token_id)
        if id is None:
            raise ValueError(f"{token!r} is not in the vocabulary, and there is no unk_token")
        return id


KINDS: dict[str, type[Tokenizer]] = {}
"""Each kind of tokenizer by its name."""


def _roles(special_tokens: Mapping[str, str] | None, vocab: dict[str, int]) -> dict[str, str]:
    """The roles that were given, held against the vocabulary, or else the usual ones."""
    if special_tokens is None:
        return conventional_roles(vocab)
    for role, token in special_tokens.items():
        if role not in ROLES:
            raise ValueError(f"special_tokens: {role!r} is no role; there are {list(ROLES)}")
        if token not in vocab:
            raise ValueError(f"{role} {token!r} is not in the vocabulary; use add_tokens first")
    return dict(special_tokens)


def _combinations(windows: list[list[Encoding]]) -> Iterable[list[Encoding]]:
    """What stays of each text, then all others: each window of the first with each of the second,
    and at the end the first window of the first with the others of the second."""
    if len(windows) == 1:
        return [[window] for window in windows[0]]
    (first, *others), seconds = windows
    rows = [[a, b] for a in others for b in seconds]
    return [[first, seconds[0]], *rows, *([first, b] for b in seconds[1:])]
