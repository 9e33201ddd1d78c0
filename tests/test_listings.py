"""Tests of the museum's pages on listings: red on what was published, green on the mend."""

from __future__ import annotations

import ast
import re

import pytest

from chapters import museum
from chapters.catalogue import HERE
from tests import listings_c03_c14, listings_c15_c26

PAGES = museum.listing_pages()
FOLDER = HERE / "museum" / "listings"

RED = {**listings_c03_c14.RED, **listings_c15_c26.RED}
"""Page -> a regular expression for what its check says of the listing."""

WRONG = {**listings_c03_c14.WRONG, **listings_c15_c26.WRONG}
"""Name -> a page, another wrong form, which its check must see as well, and what it says then."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_check_fails_on_the_listing_for_its_own_reason(page):
    assert re.match(RED[page.name], page.complaint(page.broken))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_check_passes_the_mended_form(page):
    page.check(page.mended)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_short_and_has_its_texts_in_both_languages(page):
    for text in (page.title, page.source, page.seen):
        assert text and text == text.strip()
    assert re.search(r"\([^()]*[\u4e00-\u9fff][^()]*\)$", page.title)
    assert page.source.startswith(f"{page.name[:3].upper()} of the documents, ")
    assert len(re.findall(r"[\u4e00-\u9fff]", page.chinese)) > 60
    source = (FOLDER / f"{page.name}.py").read_text("utf-8")
    assert len(source.splitlines()) < 90 and ast.get_docstring(ast.parse(source))


def test_there_is_one_page_for_each_listing_and_no_other_file():
    assert [name[:4] for name in museum.LISTINGS] == [f"c{number:02}_" for number in range(3, 27)]
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(museum.LISTINGS)
    assert set(museum.LISTINGS) == set(RED) == {page for page, _, _ in WRONG.values()}
    assert not set(museum.LISTINGS) & set(museum.PAGES)
    assert len(WRONG) == len(listings_c03_c14.WRONG) + len(listings_c15_c26.WRONG)


def test_a_page_is_found_by_its_name_in_either_folder():
    assert [page.name for page in PAGES] == list(museum.LISTINGS)
    assert museum.page("not_shifted").title != museum.page("c10_divided_by_a_pair").title
    with pytest.raises(ModuleNotFoundError):
        museum.page("c99_no_such_page")


@pytest.mark.parametrize("name", WRONG)
def test_other_wrong_forms_are_seen_too(name):
    page, form, complaint = WRONG[name]
    assert re.search(complaint, museum.page(page).complaint(form)), name
