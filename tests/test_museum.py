"""Tests of the museum of bugs: every check fails on the broken form and passes the mended one."""

from __future__ import annotations

import re

import numpy as np
import pytest

from chapters import museum
from chapters.catalogue import HERE, chapter, chapters, chapters_of
from chapters.museum import every_place, mask_on_a_mean, not_shifted, padding_seen, same_paragraph
from tinygrad_llm import Tensor
from tinygrad_llm import functional as F

PAGES = museum.pages()

RED = {
    "ignored_class": r"of 4 pairs of class 0, 4 have no gradient",
    "mask_on_a_mean": r"33% of the gradient goes to padding",
    "every_place": r"352 of 352 places that were not selected have a gradient",
    "not_shifted": r"a model that foretells each next word has a loss of 30, not 0",
    "padding_seen": r"with 6 places of padding the states of the words move by 0\.\d+",
    "same_paragraph": r"76 of 212 negatives are the next sentence",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_check_fails_on_the_broken_form_for_its_own_reason(page):
    with pytest.raises(AssertionError, match=RED[page.name]):
        page.check(page.broken)
    assert re.match(RED[page.name], page.complaint(page.broken))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_check_passes_the_mended_form(page):
    page.check(page.mended)
    assert page.complaint(page.mended) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_its_texts_in_both_languages(page):
    for text in (page.title, page.source, page.seen):
        assert text and text == text.strip()
    assert re.search(r"\([\u4e00-\u9fff].*\)$", page.title)
    assert len(re.findall(r"[\u4e00-\u9fff]", page.chinese)) > 60
    source = (HERE / "museum" / f"{page.name}.py").read_text("utf-8")
    assert len(source.splitlines()) < 90


def test_every_file_of_the_museum_is_a_page():
    files = {path.stem for path in (HERE / "museum").glob("*.py")} - {"__init__"}
    assert files == set(museum.PAGES) == set(RED) and len(museum.PAGES) == len(files)
    with pytest.raises(ModuleNotFoundError):
        museum.page("no_such_page")


def test_a_complaint_is_what_a_check_asserts_and_other_errors_pass_through():
    page = museum.page("ignored_class")
    with pytest.raises(ZeroDivisionError):
        page.complaint(lambda logits, follows: 1 / 0)


# Other wrong forms, which a page's check must see as well


def logits_of_two(labels):
    return lambda logits, follows: F.cross_entropy(logits, follows, ignore_index=labels)


def shifted_twice(logits, ids):
    return F.cross_entropy(logits[:, :-2], Tensor(ids[:, 2:].copy()))


def rolled(logits, ids):
    return F.cross_entropy(logits, Tensor(np.roll(ids, -1, axis=1)))


def of_any_text(lengths, rng):
    """Half of the pairs follow; the others are drawn from everywhere."""
    first, second, label = same_paragraph.mended(lengths, rng)
    if label == 0:
        text = int(rng.integers(len(lengths)))
        second = text, int(rng.integers(lengths[text]))
    return first, second, label


def paragraph_is_enough(lengths, rng):
    """F72 as printed: 1 for two sentences of one text."""
    first, second, label = same_paragraph.mended(lengths, rng)
    return first, (first[0], int(rng.integers(lengths[first[0]]))) if label else second, label


def never_negative(lengths, rng):
    return next(p for p in iter(lambda: same_paragraph.mended(lengths, rng), None) if p[2])


WRONG = {
    "class 1 ignored": ("ignored_class", logits_of_two(1), "of 4 pairs of class 1"),
    "over all places": ("mask_on_a_mean", mask_on_a_mean.halfway, r"loss × 0\.5$"),
    "a sum": ("mask_on_a_mean", lambda each, mask: each.mean(), "goes to padding"),
    "turned round": (
        "every_place",
        lambda logits, words, selected: every_place.mended(logits, words, ~selected),
        "were not selected have a gradient",
    ),
    "shifted twice": ("not_shifted", shifted_twice, "has a loss of 30"),
    "rolled": ("not_shifted", rolled, "the last place, which has no next word"),
    "copying": ("not_shifted", not_shifted.broken, "has a loss of 30"),
    "turned mask": ("padding_seen", lambda ids, pad: ids == pad, "the states of the words move"),
    "shifted mask": (
        "padding_seen",
        lambda ids, pad: np.roll(padding_seen.mended(ids, pad), 1, axis=1),
        "the states of the words move",
    ),
    "any text": ("same_paragraph", of_any_text, "negatives are"),
    "F72": ("same_paragraph", paragraph_is_enough, "negatives are the next sentence"),
    "no negatives": ("same_paragraph", never_negative, "0 of 400 pairs are negatives"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_wrong_forms_are_seen_too(name):
    page, form, complaint = WRONG[name]
    assert re.search(complaint, museum.page(page).complaint(form)), name


# The chapter


def test_the_museum_is_chapter_a_after_the_numbered_ones():
    found = chapters()
    assert [each.number for each in found][-1] == "A" and found[-1].title == "A museum"
    assert chapter("a") == chapter("A") == found[-1] and chapters_of("A") == [found[-1]]


def test_the_chapter_visits_every_page_in_order():
    text = chapter("A").path.read_text("utf-8")
    visited = re.findall(r'visit\(\d, "(\w+)"\)', text)
    assert tuple(visited) == museum.PAGES
    for page in PAGES:
        assert f"· {page.title}\n" in text
