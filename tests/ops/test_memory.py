"""Memory that stays with the process: what is asked of malloc, and the switch that asks nothing."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from tinygrad_llm.backend.cpu import memory


@pytest.fixture
def asked(monkeypatch):
    """The calls of mallopt, on a system that has it."""
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("TINYGRAD_LLM_KEEP_FREED", raising=False)
    return calls


def test_freed_memory_is_kept(asked):
    memory.keep_freed()
    assert asked == [(-3, 32 << 20), (-1, 1 << 30)]


@pytest.mark.parametrize(("value", "calls"), [("0", 0), ("1", 2), ("", 2)])
def test_a_variable_leaves_malloc_alone(asked, monkeypatch, value, calls):
    monkeypatch.setenv("TINYGRAD_LLM_KEEP_FREED", value)
    memory.keep_freed()
    assert len(asked) == calls


def test_elsewhere_nothing_is_asked(asked, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.keep_freed()
    assert not asked


def test_a_library_without_it_is_left_alone(asked, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    memory.keep_freed()
    assert not asked
