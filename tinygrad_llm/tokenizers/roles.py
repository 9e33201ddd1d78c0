"""The roles that special tokens have, and the names under which they are usually found."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

ROLES: dict[str, tuple[str, ...]] = {
    "unk_token": ("[UNK]", "<unk>"),
    "pad_token": ("[PAD]", "<pad>", "<|pad|>"),
    "cls_token": ("[CLS]",),
    "sep_token": ("[SEP]",),
    "mask_token": ("[MASK]", "<mask>"),
    "bos_token": ("[BOS]", "<s>", "<|begin_of_text|>", "<|endoftext|>"),
    "eos_token": ("[EOS]", "</s>", "<|end_of_text|>", "<|endoftext|>"),
}
"""Each role, with its usual tokens: the first that a vocabulary has gets the role."""


def conventional_roles(vocab: Container[str]) -> dict[str, str]:
    """Role -> token, for the roles whose usual token is there."""
    roles = {}
    for role, names in ROLES.items():
        found = next((name for name in names if name in vocab), None)
        if found is not None:
            roles[role] = found
    return roles


class Role:
    """An attribute of a tokenizer that is the token with this role, None where there is none;
    setting it gives the role to a token of the vocabulary."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._role = name

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        return self if tokenizer is None else tokenizer.special_tokens.get(self._role)

    def __set__(self, tokenizer: Any, token: str | None) -> None:
        tokenizer.set_role(self._role, token)


class RoleId:
    """An attribute of a tokenizer, such as pad_token_id: the id of the token with this role."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._role = name.removesuffix("_id")

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        if tokenizer is None:
            return self
        return tokenizer.vocab.get(tokenizer.special_tokens.get(self._role))

    def __set__(self, tokenizer: Any, id: int) -> None:
        raise AttributeError(f"set {self._role}, not {self._role}_id")
