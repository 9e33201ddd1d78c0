"""Tests of the map of concepts: it names what there is, and leads from each idea to known ones."""

from __future__ import annotations

import importlib
import pkgutil
from graphlib import CycleError

import matplotlib.pyplot as plt
import pytest

import tinygrad_llm
from tinygrad_llm import plot
from tinygrad_llm.plot import fonts
from tinygrad_llm.plot.concepts import CONCEPTS, THEMES, Concept, in_order


@pytest.fixture(autouse=True)
def close():
    """No figure outlives its test."""
    yield
    plt.close("all")


def resolve(name):
    """What a dotted name in the package means: modules as far as they go, attributes from there."""
    found = tinygrad_llm
    for part in name.split("."):
        full = f"{found.__name__}.{part}" if hasattr(found, "__path__") else None
        if full and importlib.util.find_spec(full):
            found = importlib.import_module(full)
        else:
            found = getattr(found, part)
    return found


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.english)
def test_what_does_it_is_there(concept):
    assert resolve(concept.module) is not None
    assert concept.theme in THEMES


def test_every_room_of_the_package_is_on_the_map():
    rooms = {module.name for module in pkgutil.iter_modules(tinygrad_llm.__path__)}
    named = {concept.module.split(".")[0] for concept in CONCEPTS}
    assert named == {room for room in rooms if not room.startswith("_")}


@pytest.mark.parametrize("field", ["english", "chinese", "module"])
def test_no_concept_stands_twice(field):
    values = [getattr(concept, field) for concept in CONCEPTS]
    assert sorted(values) == sorted(set(values))


def test_arrows_lead_to_known_concepts_and_never_in_a_circle():
    place = {concept.english: i for i, concept in enumerate(in_order(CONCEPTS))}
    assert len(place) == len(CONCEPTS)
    for concept in CONCEPTS:
        assert all(place[concept.english] < place[led] for led in concept.leads_to)
        assert len(set(concept.leads_to)) == len(concept.leads_to)
    reached = {led for concept in CONCEPTS for led in concept.leads_to}
    assert all(concept.leads_to or concept.english in reached for concept in CONCEPTS)


def test_circles_and_unknown_ideas_are_found():
    a, b = (Concept(x, x, x, "data", (y,)) for x, y in ("ab", "ba"))
    with pytest.raises(CycleError):
        in_order([a, b])
    with pytest.raises(KeyError):
        in_order([a])


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("shown", [True, False])
def test_the_map_shows_every_concept_and_every_arrow(monkeypatch, shown):
    monkeypatch.setattr(fonts, "chinese_family", lambda: None)
    monkeypatch.setattr("tinygrad_llm.plot.concepts.all_shown", lambda *texts: shown)
    figure = plot.concept_map()
    said = set(texts(figure))
    for concept in CONCEPTS:
        assert {concept.english, concept.module} <= said
        assert (concept.chinese in said) == shown
    kinds = [type(patch).__name__ for patch in figure.axes[0].patches]
    assert kinds.count("FancyBboxPatch") == len(CONCEPTS)
    arrows = sum(len(concept.leads_to) for concept in CONCEPTS)
    assert kinds.count("FancyArrowPatch") == arrows
    assert (fonts.ADVICE in figure.axes[0].get_legend().get_title().get_text()) != shown


def test_no_box_of_the_map_covers_another_or_its_text(monkeypatch):
    monkeypatch.setattr(fonts, "chinese_family", lambda: None)
    figure = plot.concept_map()
    axes = figure.axes[0]
    figure.canvas.draw()
    boxes = [
        patch.get_window_extent()
        for patch in axes.patches
        if type(patch).__name__ == "FancyBboxPatch"
    ]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
    for text in axes.texts:
        extent = text.get_window_extent()
        assert any(
            box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 for box in boxes
        )
