"""What a tokenizer knows of its tokens: their ids, the roles of some, which are added ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygrad_llm.tokenizers.added import AddedToken, check_added, number
from tinygrad_llm.tokenizers.attributes import Role, RoleId
from tinygrad_llm.tokenizers.checks import check_vocab
from tinygrad_llm.tokenizers.roles import check_roles, conventional_roles


class Vocabulary(ABC):
    """The tokens of a tokenizer, which is built on it and explains the arguments.

    vocab: token -> id, added tokens included; base_vocab: without those that were added to it.
    special_tokens: role -> token. added_tokens: in the order of their ids.
    """

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
        added_tokens: Sequence[AddedToken],
        special_tokens: Mapping[str, str] | None,
    ):
        check_vocab(vocab)
        check_added(added_tokens, dict(vocab))
        self.base_vocab = dict(vocab)
        self.vocab = {**vocab, **{token.content: token.id for token in added_tokens}}
        if special_tokens is None:
            special_tokens = conventional_roles(self.vocab)
        self.special_tokens = check_roles(special_tokens, self.vocab)
        self.added_tokens = list(added_tokens)

    @abstractmethod
    def _look_for_added(self) -> None:
        """Find added tokens and those with a role in texts from now on."""

    def _number(self, more: Iterable[str]) -> None:
        """Take tokens with a role, and more special ones, among the added tokens; and note which
        token an id is of."""
        added = {token.content: token for token in self.added_tokens}
        for content in (*self.special_tokens.values(), *more):
            added.setdefault(content, AddedToken(content, self.vocab[content]))
        self.added_tokens = sorted(added.values(), key=lambda token: token.id)
        self._tokens = {id: token for token, id in self.vocab.items()}
        self._special_ids = {token.id for token in self.added_tokens if token.special}
        self._added_ids = {token.id for token in self.added_tokens}

    def add_tokens(
        self,
        tokens: str | AddedToken | Iterable[str | AddedToken],
        special_tokens: bool = False,
    ) -> int:
        """Have tokens found whole in texts: those of the vocabulary as they are, others at its end.
        A model needs a row of its embedding for each of `len(tokenizer)`.

        tokens: a string is looked for in normalized text, with special_tokens=True as it is
            written; an AddedToken, whose id is best left out, says itself how it is found.
        special_tokens: whether decoding can leave them out.

        Returns how many of them are new, or found otherwise than before.

        Raises:
            TypeError: one of them is neither a string nor an AddedToken.
            ValueError: one is empty, has a lone surrogate, or the id of another token.
        """
        added = number(tokens, special_tokens, self.vocab)
        before = {token.content: token for token in self.added_tokens}
        self.vocab |= {token.content: token.id for token in added}
        self.added_tokens = [*(before | {token.content: token for token in added}).values()]
        self._look_for_added()
        return sum(token != before.get(token.content) for token in added)

    def set_role(self, role: str, token: str | None) -> None:
        """Give a role to a token of the vocabulary; `tokenizer.pad_token = token` does it too. None
        takes the role away. ValueError where there is no such role or token."""
        roles = {k: v for k, v in self.special_tokens.items() if k != role}
        self.special_tokens = check_roles({**roles, role: token}, self.vocab)
        self._look_for_added()

    @property
    def vocab_size(self) -> int:
        """How many tokens there are without those that were added to the vocabulary, as in
        Hugging Face's; `len(tokenizer)` counts all."""
        return len(self.base_vocab)

    def __len__(self) -> int:
        return len(self.vocab)

    def get_vocab(self) -> dict[str, int]:
        """A copy of the vocabulary, added tokens included."""
        return dict(self.vocab)

    @property
    def all_special_tokens(self) -> list[str]:
        """The tokens that decoding can leave out, by their ids."""
        return [token.content for token in self.added_tokens if token.special]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return [token.id for token in self.added_tokens if token.special]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tokens, {self.special_tokens})"

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

    def _id_of(self, token: str) -> int:
        id = self.vocab.get(token, self.unk_token_id)
        if id is None:
            raise ValueError(f"{token!r} is not in the vocabulary, and there is no unk_token")
        return id
