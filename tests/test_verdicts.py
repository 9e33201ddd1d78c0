"""Tests of verdicts on claims, of their bands, and of the script that measures bands."""

from __future__ import annotations

import datetime
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapters import measure, runner, verdicts
from chapters.catalogue import chapters
from chapters.verdicts import Claim, band_of, judge, judge_all
from tinygrad_llm.formulas.numeric import AGREEMENT


def claim(value, below=("a baseline", 1.0), above=None):
    return Claim("key", "a statement", value, "log", below, above)


@pytest.mark.parametrize(
    "made, band, reason",
    [
        (claim(0.5), (0.5, 0.5), None),
        (claim(0.6), (0.1, 0.5), "the value lies outside its band"),
        (claim(0.05), (0.1, 0.5), "the value lies outside its band"),
        (claim(math.nan), (0.1, 0.5), "the value lies outside its band"),
        (claim(1.0), (0.1, 2.0), "it does not beat a baseline"),
        (claim(math.nan), (-math.inf, math.inf), "it does not beat a baseline"),
        (claim(1.0, None, ("chance", 1.0)), (0.1, 2.0), "it does not beat chance"),
        (claim(1.1, None, ("chance", 1.0)), (0.1, 2.0), None),
        (claim(0.5), None, "no band was measured"),
        (claim(298 / 300), (0.9933333333333334, 1.0), None),  # another order of rounding
        (claim(0.99), (0.9933333333333334, 1.0), "the value lies outside its band"),
        (claim(1e-300), (0.0, 0.0), "the value lies outside its band"),
        (claim(2e-13), (1e-14, 1e-13), "the value lies outside its band"),
    ],
)
def test_judge(made, band, reason):
    verdict = judge(made, band)
    assert verdict.passed == (reason is None)
    assert verdict.lines()[0] == f"{'PASS' if reason is None else 'FAIL'}  a statement"
    if reason is not None:
        assert any(reason in each for each in verdict.reasons)


@pytest.mark.parametrize(
    "made, band, said",
    [
        (claim(0.99333), (0.993334, 1.0), "0.99333 in 0.993334 … 1, below 1 (a baseline)"),
        (claim(0.99333), (0.9, 1.0), "0.993 in 0.9 … 1, below 1 (a baseline)"),
        (claim(1.0), (0.1, 2.0), "1 in 0.1 … 2, below 1 (a baseline)"),
        (claim(1.0001), (0.1, 2.0), "1.0001 in 0.1 … 2, below 1 (a baseline)"),
        (claim(math.nan), (0.1, 0.5), "nan in 0.1 … 0.5, below 1 (a baseline)"),
        (claim(0.5), None, "0.5, no band, below 1 (a baseline)"),
        (claim(1.1, None, ("chance", 1.0)), (0.1, 2.0), "1.1 in 0.1 … 2, above 1 (chance)"),
    ],
)
def test_what_fails_is_shown_apart_from_its_limit(made, band, said):
    assert judge(made, band).lines()[1].strip() == said


def test_seeds_are_those_of_the_mode(monkeypatch, tmp_path):
    path = tmp_path / "bands.json"
    modes = {"quick": {"seeds": [0, 1, 2]}, "default": {"seeds": [0]}}
    path.write_text(json.dumps({"chapters": {"07": modes}}))
    monkeypatch.setattr(verdicts, "BANDS", path)
    found = [verdicts.seeds_of("07", mode) for mode in ("quick", "default")]
    assert found == [3, 1] and verdicts.seeds_of("08", "quick") == 0


def test_a_band_without_its_claim_fails():
    good, lost = judge_all([claim(0.5)], {"key": (0.1, 1.0), "other": (0.1, 1.0)})
    assert good.passed and not lost.passed and lost.claim.key == "other"


@given(st.lists(st.floats(1e-300, 1e3), min_size=2, max_size=10))
def test_band_on_a_log_scale_is_a_decade_wider_on_each_side(values):
    low, high = band_of(values, "log")
    assert low <= min(values) / 9.99 and high >= max(values) * 9.99
    spread = max(values) / min(values)
    assert spread < 10 or high == pytest.approx(max(values) * spread)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=10))
def test_band_on_a_linear_scale_is_its_spread_wider_on_each_side(values):
    low, high = band_of(values, "linear")
    spread = max(values) - min(values)
    assert low <= min(values) - spread and high >= max(values) + spread
    assert high - low <= 3 * spread + 3e-6 * abs(max(values))


@given(st.lists(st.integers(0, 1000).map(float), min_size=2, max_size=10))
def test_band_of_a_count_is_at_least_one_wider_on_each_side(values):
    spread = max(1.0, max(values) - min(values))
    assert band_of(values, "count") == (max(min(values) - spread, 0.0), max(values) + spread)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=10))
def test_band_of_a_share_is_linear_and_stays_within_0_and_1(values):
    low, high = band_of(values, "linear")
    assert band_of(values, "share") == (max(low, 0.0), min(high, 1.0))


def test_the_band_of_a_gradients_error_ends_at_the_courses_limit():
    assert verdicts.LIMIT == AGREEMENT
    assert band_of([1e-12, 1e-7], "gradient") == (pytest.approx(1e-17), 1e-6)
    assert band_of([1e-9, 2e-9], "gradient") == band_of([1e-9, 2e-9], "log")


@pytest.mark.parametrize(
    "values, scale",
    [([1.0, math.nan], "linear"), ([1.0, 0.0], "log"), ([1e-9, 1.1e-6], "gradient")],
)
def test_no_band_from_values_that_have_none(values, scale):
    with pytest.raises(ValueError, match=r"not finite|not positive|above 1e-06"):
        band_of(values, scale)


def test_bands_were_measured_by_the_rule():
    bands = verdicts.read(verdicts.BANDS)
    assert bands["rule"] == verdicts.RULE
    assert set(bands["chapters"]) == {each.number for each in chapters()}
    for modes in bands["chapters"].values():
        assert set(modes) == {"quick", "default"}
        # Some need the long run; there must be few of them.
        quick, default = (modes[mode]["claims"].keys() for mode in ("quick", "default"))
        assert quick <= default and len(default - quick) <= 3
        for measured in modes.values():
            assert len(set(measured["seeds"])) == len(measured["seeds"]) >= 5
            assert datetime.date.fromisoformat(measured["date"]) and measured["machine"]
            for each in measured["claims"].values():
                assert len(each["values"]) == len(measured["seeds"])
                assert [each["low"], each["high"]] == list(band_of(each["values"], each["scale"]))


def test_measure_keeps_other_chapters_and_refuses_what_differs(monkeypatch, tmp_path, capsys):
    def report(which, arguments, tick):
        seed = int(arguments[arguments.index("--seed") + 1])
        made = {"key": "a", "value": 1.0 + seed, "scale": "linear", "made": True, "passed": False}
        lost = made | {"key": "b", "value": math.nan, "made": False}
        return runner.Outcome(which, 1.0, [made, lost] if seed else claims, [], problem)

    def refused(why):
        with pytest.raises(SystemExit):
            measure.main(["1"])
        assert f"chapter 01, nothing written: {why}" in capsys.readouterr().err

    claims = [{"key": "a", "value": 1.0, "scale": "linear", "made": True, "passed": False}]
    problem, path = "", tmp_path / "bands.json"
    path.write_text(json.dumps({"chapters": {"77": "kept"}}))
    monkeypatch.setattr(verdicts, "BANDS", path)
    monkeypatch.setattr(measure, "run", report)
    measure.main(["1"])
    bands = json.loads(path.read_text("utf-8"))
    assert bands["chapters"]["77"] == "kept" and bands["rule"] == verdicts.RULE
    quick = bands["chapters"]["01"]["quick"]
    assert quick["seeds"] == list(range(10)) and set(quick["claims"]) == {"a"}
    assert (quick["claims"]["a"]["low"], quick["claims"]["a"]["high"]) == (-8.0, 19.0)
    measure.main(["1", "--seeds", "6"])
    modes = json.loads(path.read_text("utf-8"))["chapters"]["01"]
    assert modes["quick"] == quick and modes["default"]["seeds"] == list(range(6))
    for few in ("4", "many"):
        with pytest.raises(SystemExit):
            measure.main(["1", "--seeds", few])
        assert "no whole number from 5 on" in capsys.readouterr().err
    written = path.read_bytes()
    claims[0]["value"] = math.nan
    refused("claim a: no band from values that are not finite")
    claims = []
    refused("the claims differ from seed to seed")
    problem = "it broke"
    refused("quick run, seed 0: it broke")
    assert path.read_bytes() == written
