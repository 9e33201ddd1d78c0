"""The museum of bugs: a page for each published mistake, with the test that would have caught it.

A page is a module with `TITLE`, `SOURCE`, `SEEN` (what its user sees), `CHINESE` (the same in
short), the functions `broken` and `mended`, and `check(fn)`, which raises AssertionError for the
first and passes the second. To add a page: write the module and put its name into `PAGES`; or, for
a listing of the documents, write it in `listings` and put its name into `LISTINGS`.
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

LISTINGS = (
    "c03_new_words_dropped",
    "c04_states_as_answers",
    "c05_padding_guessed",
    "c06_tuned_on_the_test",
    "c07_not_installed",
    "c08_no_cls",
    "c09_one_column",
    "c10_divided_by_a_pair",
    "c11_rounded_sigmoid",
    "c12_last_epoch",
    "c13_softmax_twice",
    "c14_tried_until_good",
    "c15_bare_blocks",
    "c16_notebook_line",
    "c17_foreign_vocabulary",
    "c18_no_head",
    "c19_long_warmup",
    "c20_import_proves_nothing",
    "c21_two_rows",
    "c22_columns_not_rows",
    "c23_no_versions",
    "c24_one_long_text",
    "c25_mode_that_stays",
    "c26_printed_results",
)
"""One page for each listing that has mistakes, C03 to C26, in the folder `listings`."""


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
    folder = "listings." if name in LISTINGS else ""
    module = import_module(f"chapters.museum.{folder}{name}")
    texts = module.TITLE, module.SOURCE, module.SEEN, module.CHINESE
    return Page(name, *texts, module.broken, module.mended, module.check)


def pages() -> list[Page]:
    """The pages of chapter A, in the order of `PAGES`."""
    return [page(name) for name in PAGES]


def listing_pages() -> list[Page]:
    """The pages of the listings, in the order of `LISTINGS`."""
    return [page(name) for name in LISTINGS]
