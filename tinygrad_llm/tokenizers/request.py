"""What a call of a tokenizer asks for, with every argument held against the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tinygrad_llm.tokenizers.batch import FIELDS
from tinygrad_llm.tokenizers.checks import check_side, is_integer
from tinygrad_llm.tokenizers.lengths import STRATEGIES, Padding, Truncation

_PADDINGS = (False, True, "longest", "max_length", "do_not_pad")
_TRUNCATIONS = (False, True, *STRATEGIES, "do_not_truncate")


class Defaults(Protocol):
    """What a call takes from its tokenizer."""

    @property
    def pad_token(self) -> Any: ...
    @property
    def pad_token_id(self) -> Any: ...
    @property
    def eos_token(self) -> Any: ...

    model_max_length: Any
    model_input_names: Any


@dataclass(frozen=True)
class Arguments:
    """The arguments of a call beside its texts, as `Tokenizer.__call__` explains them."""

    add_special_tokens: bool = True
    padding: bool | str = False
    truncation: bool | str = False
    max_length: int | None = None
    stride: int = 0
    is_split_into_words: bool = False
    pad_to_multiple_of: int | None = None
    padding_side: str | None = None
    truncation_side: str | None = None
    return_tensors: str | None = None
    return_token_type_ids: bool | None = None
    return_attention_mask: bool | None = None
    return_overflowing_tokens: bool = False
    return_special_tokens_mask: bool = False
    return_offsets_mapping: bool = False


class Request(NamedTuple):
    """One call: words says that texts are lists of words; overflowing, that all windows are wanted;
    keys are those of the answer."""

    words: bool
    add_special_tokens: bool
    truncation: Truncation | None
    padding: Padding | None
    overflowing: bool
    keys: list[str]

    @classmethod
    def of(cls, tokenizer: Defaults, arguments: Arguments) -> Request:
        """From the arguments of a call; ValueError where they do not fit."""
        _check(arguments)
        truncation, padding = _truncation(tokenizer, arguments), _padding(tokenizer, arguments)
        _check_multiple(truncation, padding)
        return cls(
            words=arguments.is_split_into_words,
            add_special_tokens=arguments.add_special_tokens,
            truncation=truncation,
            padding=padding,
            overflowing=arguments.return_overflowing_tokens,
            keys=_keys(tokenizer, arguments),
        )

    def texts(self, text: Any, text_pair: Any) -> tuple[list, list, bool]:
        """The texts, the second texts (None for each where there are none), and whether a list of
        texts was given. TypeError or ValueError where they are none."""
        many = self._is_many("text", text)
        texts = list(text) if many else [text]
        if text_pair is not None:
            pairs = self._pairs(text_pair, many)
        elif many:
            texts, pairs = self._unzipped(texts)
        else:
            pairs = [None]
        if len(pairs) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(pairs)} in text_pair; give one for each")
        for place, (first, second) in enumerate(zip(texts, pairs)):
            where = f"[{place}]" if many else ""
            self._check_text(f"text{where}", first)
            if second is not None or text_pair is not None:
                self._check_text(f"text_pair{where}", second)
        return texts, pairs, many

    def _pairs(self, text_pair: Any, many: bool) -> list:
        """The second texts, that were given apart from the first."""
        if self._is_many("text_pair", text_pair) != many:
            raise ValueError("text and text_pair must both be one text or both be lists of texts")
        return list(text_pair) if many else [text_pair]

    def _unzipped(self, texts: list) -> tuple[list, list]:
        """First and second texts of a batch where pairs may stand among texts."""
        rows = [tuple(one) if self._is_pair(one) else (one, None) for one in texts]
        return [first for first, _ in rows], [second for _, second in rows]

    def _is_pair(self, one: Any) -> bool:
        """Whether it is two texts: (text, text_pair), with words two lists of them."""
        if not isinstance(one, (list, tuple)) or len(one) != 2:
            return False
        return not self.words or not any(isinstance(part, str) for part in one)

    def _is_many(self, name: str, text: Any) -> bool:
        """Whether it is a list of texts: of strings, or with words of lists of strings."""
        if isinstance(text, str):
            if self.words:
                raise TypeError(f"{name} is one string; with is_split_into_words give its words")
            return False
        if not isinstance(text, Sequence) or isinstance(text, bytes):
            raise TypeError(f"{name} is a {type(text).__name__}; give a string or a list of them")
        return not self.words or (bool(text) and not isinstance(text[0], str))

    def _check_text(self, name: str, text: Any) -> None:
        if not self.words:
            _check_string(name, text)
            return
        if isinstance(text, str) or not isinstance(text, Sequence):
            raise TypeError(f"{name} is a {type(text).__name__}; give a list of its words")
        for place, word in enumerate(text):
            _check_string(f"{name}, word {place},", word)


def _check_string(name: str, text: Any) -> None:
    if isinstance(text, (list, tuple)):
        raise TypeError(
            f"{name} is a {type(text).__name__}; give a string, or a pair (text, text_pair), or "
            "words with is_split_into_words=True"
        )
    if not isinstance(text, str):
        raise TypeError(f"{name} is a {type(text).__name__}; a text is a string")


def _check(arguments: Arguments) -> None:
    """Each argument alone."""
    for name, choices in (("padding", _PADDINGS), ("truncation", _TRUNCATIONS)):
        if (
            not isinstance(getattr(arguments, name), (bool, str))
            or getattr(arguments, name) not in choices
        ):
            raise ValueError(f"{name} is {getattr(arguments, name)!r}; give one of {choices}")
    for name in ("padding_side", "truncation_side"):
        if getattr(arguments, name) is not None:
            check_side(name, getattr(arguments, name))
    if arguments.return_tensors not in (None, "np"):
        raise ValueError(f"return_tensors is {arguments.return_tensors!r}; give 'np' or None")
    for name, least in (("max_length", 0), ("stride", 0), ("pad_to_multiple_of", 1)):
        value = getattr(arguments, name)
        if value is not None and (not is_integer(value) or value < least):
            raise ValueError(f"{name} is {value!r}; give an integer of at least {least}")


def _max_length(tokenizer: Defaults, arguments: Arguments, name: str) -> int:
    length = arguments.max_length
    if length is None:
        length = tokenizer.model_max_length
    if length is None:
        raise ValueError(f"{name}={getattr(arguments, name)!r} needs a max_length; give one")
    return length


def _side(tokenizer: Defaults, arguments: Arguments, name: str) -> str:
    side = getattr(arguments, name)
    return getattr(tokenizer, name) if side is None else side


def _truncation(tokenizer: Defaults, arguments: Arguments) -> Truncation | None:
    asked = arguments.truncation
    if asked in (False, "do_not_truncate"):
        if arguments.stride or arguments.return_overflowing_tokens:
            raise ValueError("stride and return_overflowing_tokens need truncation=True")
        if arguments.max_length is not None and arguments.padding != "max_length":
            raise ValueError(
                "max_length alone does nothing; give truncation=True, or padding='max_length'"
            )
        return None
    strategy = asked if isinstance(asked, str) else "longest_first"
    side = _side(tokenizer, arguments, "truncation_side")
    length = _max_length(tokenizer, arguments, "truncation")
    return Truncation(length, strategy, arguments.stride, side)


def _padding(tokenizer: Defaults, arguments: Arguments) -> Padding | None:
    asked = arguments.padding
    multiple = arguments.pad_to_multiple_of
    if asked in (False, "do_not_pad"):
        if multiple is not None:
            raise ValueError("pad_to_multiple_of needs padding=True")
        return None
    if tokenizer.pad_token is None or tokenizer.pad_token_id is None:
        raise ValueError(
            "padding needs a pad_token; set tokenizer.pad_token = tokenizer.eos_token, or train "
            "with a token for it: special_tokens=('<|endoftext|>', '[PAD]')"
        )
    length = _max_length(tokenizer, arguments, "padding") if asked == "max_length" else None
    side = _side(tokenizer, arguments, "padding_side")
    return Padding(length, multiple, side, tokenizer.pad_token_id, tokenizer.pad_token)


def _check_multiple(truncation: Truncation | None, padding: Padding | None) -> None:
    """A row that is cut to max_length must not grow beyond it again."""
    if truncation and padding and padding.multiple:
        length, multiple = truncation.max_length, padding.multiple
        if length % multiple:
            raise ValueError(
                f"max_length {length} is no multiple of {multiple}; make it one, or leave "
                "pad_to_multiple_of out"
            )


def _keys(tokenizer: Defaults, arguments: Arguments) -> list[str]:
    """The keys of the answer, in the order of FIELDS."""
    wanted = {key: key in tokenizer.model_input_names for key in FIELDS}
    wanted["input_ids"] = True
    for key in ("token_type_ids", "attention_mask"):
        if getattr(arguments, f"return_{key}") is not None:
            wanted[key] = getattr(arguments, f"return_{key}")
    wanted["special_tokens_mask"] |= arguments.return_special_tokens_mask
    wanted["offset_mapping"] |= arguments.return_offsets_mapping
    return [key for key, yes in wanted.items() if yes]
