"""The roles that special tokens have, and the names under which they are usually found."""

from __future__ import annotations

from collections.abc import Container, Mapping
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


def check_roles(roles: Any, vocab: Container[str]) -> dict[str, str]:
    """Role -> token, without roles that are None. TypeError where it is no mapping; ValueError
    where there is no such role, or the vocabulary lacks a token."""
    if not isinstance(roles, Mapping):
        raise TypeError(
            f"special_tokens is a {type(roles).__name__}; give a dict, as {{'pad_token': '[PAD]'}}"
        )
    for role, token in roles.items():
        if role not in ROLES:
            raise ValueError(f"special_tokens: {role!r} is no role; there are {list(ROLES)}")
        if token is not None and token not in vocab:
            raise ValueError(f"{role} {token!r} is not in the vocabulary; use add_tokens first")
    return {role: token for role, token in roles.items() if token is not None}
