"""Attributes of a tokenizer that are never wrong: roles of tokens, and what is checked when set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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


class Checked:
    """An attribute whose value goes, each time it is set, through `check(name, value)`: it returns
    what is kept, or raises."""

    def __init__(self, check: Callable[[str, Any], Any]):
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        return self if tokenizer is None else tokenizer.__dict__[self._name]

    def __set__(self, tokenizer: Any, value: Any) -> None:
        tokenizer.__dict__[self._name] = self._check(self._name, value)
