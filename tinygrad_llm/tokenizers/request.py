"""What a call of a tokenizer asks for, with every argument held against the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_llm.tokenizers.batch import FIELDS
from tinygrad_llm.tokenizers.checks import is_integer
from tinygrad_llm.tokenizers.lengths import SIDES, STRATEGIES, Padding, Truncation

if TYPE_CHECKING:
    from tinygrad_llm.tokenizers.base import Tokenizer

_PADDINGS = (False, True, "longest", "max_length", "do_not_pad")
_TRUNCATIONS = (False, True, *STRATEGIES, "do_not_truncate")


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
    def of(cls, tokenizer: Tokenizer, arguments: dict[str, Any]) -> Request:
        """From the arguments of a call; ValueError where they do not fit."""
        _check(arguments)
        truncation, padding = _truncation(tokenizer, arguments), _padding(tokenizer, arguments)
        _check_multiple(truncation, padding)
        return cls(
            words=arguments["is_split_into_words"],
            add_special_tokens=arguments["add_special_tokens"],
            truncation=truncation,
            padding=padding,
            overflowing=arguments["return_overflowing_tokens"],
            keys=_keys(tokenizer, arguments),
        )

    def texts(self, text: Any, text_pair: Any) -> tuple[list, list, bool]:
        """The texts, the second texts (None for each where there are none), and whether a list of
        texts was given. TypeError or ValueError where they are none."""
        many = self._is_many("text", text)
        texts = list(text) if many else [text]
        if text_pair is None:
            pairs: list = [None] * len(texts)
        elif self._is_many("text_pair", text_pair) != many:
            raise ValueError("text and text_pair must both be one text or both be lists of texts")
        else:
            pairs = list(text_pair) if many else [text_pair]
        if len(pairs) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(pairs)} in text_pair; give one for each")
        for name, given in (("text", texts), ("text_pair", [p for p in pairs if p is not None])):
            for place, one in enumerate(given):
                self._check_text(f"{name}[{place}]" if many else name, one)
        return texts, pairs, many

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
    if not isinstance(text, str):
        raise TypeError(f"{name} is a {type(text).__name__}; a text is a string")


def _check(arguments: dict[str, Any]) -> None:
    """Each argument alone."""
    for name, choices in (("padding", _PADDINGS), ("truncation", _TRUNCATIONS)):
        if not isinstance(arguments[name], (bool, str)) or arguments[name] not in choices:
            raise ValueError(f"{name} is {arguments[name]!r}; give one of {choices}")
    for name in ("padding_side", "truncation_side"):
        if arguments[name] is not None:
            _check_side(name, arguments[name])
    if arguments["return_tensors"] not in (None, "np"):
        raise ValueError(f"return_tensors is {arguments['return_tensors']!r}; give 'np' or None")
    for name, least in (("max_length", 0), ("stride", 0), ("pad_to_multiple_of", 1)):
        value = arguments[name]
        if value is not None and (not is_integer(value) or value < least):
            raise ValueError(f"{name} is {value!r}; give an integer of at least {least}")


def _max_length(tokenizer: Tokenizer, arguments: dict[str, Any], name: str) -> int:
    length = arguments["max_length"]
    if length is None:
        length = tokenizer.model_max_length
    if length is None:
        raise ValueError(f"{name}={arguments[name]!r} needs a max_length; give one")
    return length


def _side(tokenizer: Tokenizer, arguments: dict[str, Any], name: str) -> str:
    side = getattr(tokenizer, name) if arguments[name] is None else arguments[name]
    _check_side(name, side)  # The tokenizer's own may have been set since it was built.
    return side


def _check_side(name: str, side: Any) -> None:
    if side not in SIDES:
        raise ValueError(f"{name} is {side!r}; give 'left' or 'right'")


def _truncation(tokenizer: Tokenizer, arguments: dict[str, Any]) -> Truncation | None:
    asked = arguments["truncation"]
    if asked in (False, "do_not_truncate"):
        if arguments["stride"] or arguments["return_overflowing_tokens"]:
            raise ValueError("stride and return_overflowing_tokens need truncation=True")
        if arguments["max_length"] is not None and arguments["padding"] != "max_length":
            raise ValueError(
                "max_length alone does nothing; give truncation=True, or padding='max_length'"
            )
        return None
    strategy = "longest_first" if asked is True else asked
    side = _side(tokenizer, arguments, "truncation_side")
    length = _max_length(tokenizer, arguments, "truncation")
    return Truncation(length, strategy, arguments["stride"], side)


def _padding(tokenizer: Tokenizer, arguments: dict[str, Any]) -> Padding | None:
    asked = arguments["padding"]
    multiple = arguments["pad_to_multiple_of"]
    if asked in (False, "do_not_pad"):
        if multiple is not None:
            raise ValueError("pad_to_multiple_of needs padding=True")
        return None
    if tokenizer.pad_token is None or tokenizer.pad_token_id is None:
        raise ValueError("padding needs a pad_token; give one in special_tokens")
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


def _keys(tokenizer: Tokenizer, arguments: dict[str, Any]) -> list[str]:
    """The keys of the answer, in the order of FIELDS."""
    wanted = {key: key in tokenizer.model_input_names for key in FIELDS}
    wanted["input_ids"] = True
    for key in ("token_type_ids", "attention_mask"):
        if arguments[f"return_{key}"] is not None:
            wanted[key] = arguments[f"return_{key}"]
    wanted["special_tokens_mask"] |= arguments["return_special_tokens_mask"]
    wanted["offset_mapping"] |= arguments["return_offsets_mapping"]
    return [key for key, yes in wanted.items() if yes]
