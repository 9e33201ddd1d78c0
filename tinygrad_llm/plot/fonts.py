"""Text that every figure can show: a Chinese font where there is one, code points where not."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

CHINESE = (
    ("Noto Sans CJK SC", "notosanscjk"),
    ("Noto Sans SC", "notosanssc"),
    ("Source Han Sans SC", "sourcehansans"),
    ("Source Han Sans CN", "sourcehansans"),
    ("WenQuanYi Micro Hei", "wqymicrohei"),
    ("WenQuanYi Zen Hei", "wqyzenhei"),
    ("Microsoft YaHei", "msyh"),
    ("SimHei", "simhei"),
    ("PingFang SC", "pingfang"),
    ("Heiti SC", "stheiti"),
    ("STHeiti", "stheiti"),
    ("Hiragino Sans GB", "hiraginosansgb"),
    ("Arial Unicode MS", "arialunicode"),
    ("Droid Sans Fallback", "droidsansfallback"),
    ("Noto Sans CJK TC", "notosanscjk"),
    ("Noto Sans CJK JP", "notosanscjk"),
    ("Source Han Sans", "sourcehansans"),
    ("Microsoft JhengHei", "msjh"),
    ("SimSun", "simsun"),
    ("AR PL UMing CN", "uming"),
)
"""Families with Chinese characters and how their files are named, the ones to prefer first."""

ADVICE = "Install a Chinese font (for example Noto Sans CJK SC) to see the Chinese text."

LONG = 4
"""A run of more characters that cannot be shown is cut to its first two and their number."""


@lru_cache(maxsize=1)
def chinese_family() -> str | None:
    """The name of the best installed font family with Chinese characters; None without one."""
    return _listed() or (_listed() if _added() else None)


def _listed() -> str | None:
    """The first of CHINESE that matplotlib knows and that is still on the disk."""
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist if Path(font.fname).is_file()}
    return next((family for family, _ in CHINESE if family in known), None)


def _added() -> bool:
    """Show matplotlib the Chinese fonts that were installed after it wrote its list of fonts."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    stems = tuple({stem for _, stem in CHINESE})
    known = {font.fname for font in fontManager.ttflist}
    new = [
        path for path in findSystemFonts() if path not in known and _plain(path).startswith(stems)
    ]
    for path in new:
        fontManager.addfont(path)
    return bool(new)


def _plain(path: str) -> str:
    return "".join(letter for letter in Path(path).stem.lower() if letter.isalnum())


def families() -> list[str]:
    """The font families that texts are drawn with: the user's, then the Chinese one."""
    import matplotlib

    family = chinese_family()
    chosen = list(matplotlib.rcParams["font.family"])
    return chosen if family is None or family in chosen else [*chosen, family]


def readable(text: str) -> str:
    """`text` as matplotlib can show it: nothing is left out in silence, and nothing is mathtext.

    Characters that no font of the figure has stand there as code points, [U+4F53 U+80B2]; of a run
    of more than four, the first two and their number. Line breaks stay, `$` is a plain dollar.
    """
    faces = _faces(tuple(families()))
    parts = []
    for shown, letters in groupby(text, key=lambda letter: _has(faces, letter)):
        run = "".join(letters)
        parts.append(run if shown else _points(run))
    return "".join(parts).replace("$", r"\$")


def all_shown(*texts: str) -> bool:
    """True when the fonts have every character of the texts."""
    faces = _faces(tuple(families()))
    return all(_has(faces, letter) for text in texts for letter in text)


def advice(*texts: str) -> str:
    """What to do when Chinese characters in the texts cannot be shown; "" when there is nothing."""
    faces = _faces(tuple(families()))
    missing = {letter for text in texts for letter in text if not _has(faces, letter)}
    return ADVICE if any(_is_chinese(letter) for letter in missing) else ""


def _is_chinese(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("CJK ")


def _points(run: str) -> str:
    shown = run if len(run) <= LONG else run[:2]
    points = " ".join(f"U+{ord(letter):04X}" for letter in shown)
    return f"[{points}]" if shown == run else f"[{points} … {len(run)} characters]"


def _has(faces: tuple[Any, ...], letter: str) -> bool:
    return letter == "\n" or any(face.get_char_index(ord(letter)) for face in faces)


@lru_cache(maxsize=8)
def _faces(names: tuple[str, ...]) -> tuple[Any, ...]:
    """The opened font files of the families."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return tuple(get_font(findfont(FontProperties(family=[name]))) for name in names)
