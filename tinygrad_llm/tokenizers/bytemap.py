"""GPT-2's byte map: one visible character for each of the 256 bytes, and text to bytes and back.

Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.2.
"""

from __future__ import annotations

from itertools import accumulate

_VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
"""Bytes that Latin-1 shows as a mark of their own: no space, no control, no soft hyphen."""


def _byte_characters() -> list[str]:
    """The character of every byte: itself where visible, else the next one from U+0100 on."""
    hidden = iter(range(0x100, 0x200))
    visible = set(_VISIBLE)
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]


BYTE_TO_CHARACTER: list[str] = _byte_characters()
"""Indexed by the byte; 32, the space, is "Ġ" and 10, the line feed, is "Ċ"."""

CHARACTER_TO_BYTE: dict[str, int] = {c: byte for byte, c in enumerate(BYTE_TO_CHARACTER)}

ALPHABET: list[str] = sorted(BYTE_TO_CHARACTER)
"""The 256 characters in the order of their code points, which is the order of GPT-2's ids."""


_BEGINS = bytes(byte & 0xC0 != 0x80 for byte in range(256))
"""Indexed by the byte: 1 where a character of UTF-8 begins with it, 0 for the rest of one."""


def to_utf8(text: str) -> bytes:
    """The text's UTF-8.

    Raises:
        TypeError: text is no string.
        ValueError: text holds a lone surrogate, which UTF-8 cannot write; names its position.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    try:
        return text.encode("utf8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text has a lone surrogate, U+{ord(text[error.start]):04X}, at position "
            f"{error.start}; remove it, UTF-8 cannot write it"
        ) from None


def to_piece(data: bytes) -> str:
    """Bytes as a vocabulary writes them: " a" is "Ġa"."""
    return "".join([BYTE_TO_CHARACTER[byte] for byte in data])


def from_piece(piece: str) -> bytes:
    """Bytes that a piece of the vocabulary stands for.

    A piece with a character outside the map, as in some special tokens, stands for its own text.
    """
    if all(character in CHARACTER_TO_BYTE for character in piece):
        return bytes([CHARACTER_TO_BYTE[character] for character in piece])
    return to_utf8(piece)


def character_of_byte(data: bytes) -> list[int]:
    """For each byte of UTF-8 the index of the character that it belongs to."""
    return list(accumulate(data.translate(_BEGINS), initial=-1))[1:]
