"""The museum of bugs: a page for each published mistake, with the test that would have caught it.

A page is a module with `TITLE`, `SOURCE`, `SEEN` (what its user sees), `CHINESE` (the same in
short), the functions `broken` and `mended`, and `check(fn)`, which raises AssertionError for the
first and passes the second. To add a page: write the module and put its name into `PAGES`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

PAGES = (
    "ignored_class",
    "mask_on_a_mean",
    "every_place",
    "not_shifted",
    "padding_seen",
    "same_paragraph",
)
"""In the order of chapter A."""


class Page(NamedTuple):
    """One mistake: its texts, the two forms, and the check that tells them apart."""

    name: str
    title: str
    source: str
    seen: str
    chinese: str
    broken: Callable[..., Any]
    mended: Callable[..., Any]
    check: Callable[[Callable[..., Any]], None]

    def complaint(self, form: Callable[..., Any]) -> str:
        """What the check says against a form of this page; empty when it passes."""
        try:
            self.check(form)
        except AssertionError as error:
            return str(error)
        return ""


def page(name: str) -> Page:
    """The page of this name; raises ModuleNotFoundError when there is none."""
    module = import_module(f"chapters.museum.{name}")
    texts = module.TITLE, module.SOURCE, module.SEEN, module.CHINESE
    return Page(name, *texts, module.broken, module.mended, module.check)


def pages() -> list[Page]:
    """All pages, in the order of `PAGES`."""
    return [page(name) for name in PAGES]
