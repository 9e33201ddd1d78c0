"""Decoding token by token, for text that is shown while it is being written."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from tinygrad_llm.tokenizers.base import Tokenizer
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.kinds import ByteBPETokenizer


class TextStream:
    """Turns tokens into text as they come: what `add` and `end` give, joined, is what `decode`
    gives for all of them together.

    The bytes of a character that is not complete are held back until its last byte comes, or one
    that shows that it never will; a piece of a word joins on to what was there before.

    ids: tokens whose text is there already, such as those of a prompt. skip_special_tokens: leave
    them out, as `decode` does. Raises what `decode` raises.
    """

    def __init__(
        self, tokenizer: Tokenizer, ids: Iterable[int] = (), skip_special_tokens: bool = False
    ):
        self._tokenizer = tokenizer
        self._left_out = set(tokenizer.all_special_ids if skip_special_tokens else ())
        self._added = {token.id for token in tokenizer.added_tokens}
        self._decoder = codecs.getincrementaldecoder("utf8")(errors="replace")
        self._last: list[int] = []
        for id in ids:
            self.add(id)

    def add(self, id: int) -> str:
        """What one more token adds to the text that can be shown."""
        if id in self._left_out:
            return ""
        data = self._bytes(id)
        self._last = [id]
        return self._decoder.decode(data)

    def end(self) -> str:
        """What was held back, when no token comes any more."""
        return self._decoder.decode(b"", final=True)

    def _bytes(self, id: int) -> bytes:
        """The bytes of the token after the last one; how tokens are joined depends on no more."""
        tokenizer = self._tokenizer
        if isinstance(tokenizer, ByteBPETokenizer) and id not in self._added:
            tokenizer.convert_ids_to_tokens(id)  # refuses an id that is not there
            return tokenizer.model.bytes_of[id]
        before = tokenizer.decode(self._last)
        return to_utf8(tokenizer.decode([*self._last, id])[len(before) :])
