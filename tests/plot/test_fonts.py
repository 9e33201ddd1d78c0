"""Tests of text in figures: a Chinese font where there is one, code points where there is none."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib import font_manager
from matplotlib.font_manager import FontEntry

from tinygrad_llm import plot
from tinygrad_llm.plot import fonts
from tinygrad_llm.plot.style import inches, look


@pytest.fixture
def no_chinese(monkeypatch):
    monkeypatch.setattr(fonts, "chinese_family", lambda: None)


@pytest.fixture
def fresh():
    """The search for a font begins anew, and its result is forgotten afterwards."""
    fonts.chinese_family.cache_clear()
    yield
    fonts.chinese_family.cache_clear()


class Face:
    """A font file that has the given characters."""

    def __init__(self, letters):
        self.letters = letters

    def get_char_index(self, code):
        return int(chr(code) in self.letters)


def test_text_that_the_fonts_have_stays(no_chinese):
    assert plot.readable("∂loss/∂w – 10⁻³ Ångström\nεδ") == "∂loss/∂w – 10⁻³ Ångström\nεδ"
    assert plot.readable("") == ""
    assert fonts.advice("plain") == ""


def test_missing_characters_become_code_points(no_chinese):
    assert plot.readable("体育 news") == "[U+4F53 U+80B2] news"
    assert plot.readable("a一二三四五z") == "a[U+4E00 U+4E8C … 5 characters]z"
    assert plot.readable("一二三四") == "[U+4E00 U+4E8C U+4E09 U+56DB]"
    assert plot.readable("tab\there \ud83d") == "tab[U+0009]here [U+D83D]"


def test_only_missing_chinese_asks_for_a_chinese_font(no_chinese):
    assert fonts.advice("news", "体育") == fonts.ADVICE
    assert fonts.advice("\ud83d\t") == ""
    assert not fonts.all_shown("ok", "体") and fonts.all_shown("ok", "two\nlines")


def test_a_chinese_font_shows_chinese(monkeypatch):
    monkeypatch.setattr(fonts, "chinese_family", lambda: "Any Hei")
    monkeypatch.setattr(
        fonts, "_faces", lambda names: [Face("news ")] + [Face("体")] * len(names[1:])
    )
    assert fonts.families() == [*matplotlib.rcParams["font.family"], "Any Hei"]
    assert plot.readable("体育 news") == "体[U+80B2] news"
    assert fonts.advice("体") == "" and fonts.advice("育") == fonts.ADVICE
    with look():
        assert matplotlib.rcParams["font.family"][-1] == "Any Hei"
    assert "Any Hei" not in matplotlib.rcParams["font.family"]


def test_the_users_own_chinese_font_comes_first_and_once(monkeypatch):
    monkeypatch.setattr(fonts, "chinese_family", lambda: "SimHei")
    with matplotlib.rc_context({"font.family": ["SimHei", "DejaVu Sans"]}):
        assert fonts.families() == ["SimHei", "DejaVu Sans"]


def known_fonts(monkeypatch, tmp_path, *names):
    """Let matplotlib know just these families; a name in lower case has lost its file."""
    entries = []
    for name in names:
        path = tmp_path / f"{name}.ttf"
        if name[0].isupper():
            path.touch()
        entries.append(FontEntry(fname=str(path), name=name.title() if name.islower() else name))
    manager = SimpleNamespace(ttflist=entries, addfont=lambda path: entries.append(
        FontEntry(fname=path, name="SimHei")
    ))  # fmt: skip
    monkeypatch.setattr(font_manager, "fontManager", manager)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])


def test_simplified_chinese_is_preferred(fresh, monkeypatch, tmp_path):
    known_fonts(
        monkeypatch, tmp_path, "Noto Sans CJK JP", "DejaVu Sans", "SimHei", "Noto Sans CJK TC"
    )
    assert fonts.chinese_family() == "SimHei"


def test_without_a_chinese_font_there_is_none(fresh, monkeypatch, tmp_path):
    known_fonts(monkeypatch, tmp_path, "DejaVu Sans")
    assert fonts.chinese_family() is None


def test_a_font_whose_file_is_gone_is_none(fresh, monkeypatch, tmp_path):
    known_fonts(monkeypatch, tmp_path, "wenquanyi micro hei")
    monkeypatch.setattr(fonts, "CHINESE", (("Wenquanyi Micro Hei", "wqymicrohei"),))
    assert fonts.chinese_family() is None


def test_a_font_installed_after_matplotlibs_list_is_found(fresh, monkeypatch, tmp_path):
    known_fonts(monkeypatch, tmp_path, "DejaVu Sans")
    new = tmp_path / "SimHei.ttf"
    new.touch()
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(new), "/no/Other.ttf"])
    assert fonts.chinese_family() == "SimHei"
    assert len(font_manager.fontManager.ttflist) == 2


def test_a_figure_with_any_text_is_drawn_without_a_warning(no_chinese, tmp_path):
    text = "体育 $x_$ $\\nothing$ \t \ud83d 5$"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot.curves([1, 2], {text: [1, 2]}, text, text, text)
        plot.save(figure, tmp_path / "a.png")


def test_a_dollar_is_a_dollar(no_chinese):
    with look():
        text = plt.figure().text(0, 0, plot.readable("$5 and $6"))
    shown, is_mathtext = text._preprocess_math(text.get_text())
    assert (shown, is_mathtext) == ("$5 and $6", False)
    plt.close("all")


def test_chinese_characters_are_as_wide_as_high():
    assert inches("体育", size=72) == pytest.approx(2.0)
    assert inches("abc", "a", size=72) == pytest.approx(1.8)
    assert inches() == 0.0
