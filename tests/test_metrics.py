"""Tests of the metrics: scikit-learn's recorded figures, the definitions, and what is refused."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.make_sklearn_metrics import FILE, scores_of, written
from tinygrad_llm import Tensor, metrics
from tinygrad_llm._text import width
from tinygrad_llm.backend import put
from tinygrad_llm.testing import strict_cupy

CASES = json.loads(FILE.read_text(encoding="utf8"))["cases"]

LABELS = st.lists(st.tuples(st.integers(-2, 3), st.integers(-2, 3)), min_size=1, max_size=30)


def agree(said, recorded, where):
    """Numbers to 1e-12, everything else exactly, keys in their order too."""
    if isinstance(recorded, dict):
        assert list(said) == list(recorded), where
        for key, value in recorded.items():
            agree(said[key], value, f"{where}, {key}")
    elif isinstance(recorded, list):
        assert len(said) == len(recorded), where
        for one, other in zip(said, recorded):
            agree(one, other, where)
    elif isinstance(recorded, float):
        assert said == pytest.approx(recorded, rel=1e-12, abs=1e-12), where
    else:
        assert said == recorded and type(said) is type(recorded), where


@pytest.mark.parametrize("name", CASES)
def test_everything_equals_scikit_learn(name):
    case, recorded = CASES[name]["case"], CASES[name]["says"]
    if not any_right(case):
        recorded = {k: whole(v) if k.startswith("text") else v for k, v in recorded.items()}
    agree(scores_of(metrics, case), recorded, name)


def any_right(case):
    """Whether one row of the scored classes is right."""
    right = [t for t, p in zip(case["y_true"], case["y_pred"]) if t == p]
    return bool({*right} & {*case.get("labels", right)})


def whole(text):
    """The report with 3 rows for the 3.0 that scikit-learn writes if none of them is right."""
    return re.sub(r"(\d+)\.0$", r"  \1", text, flags=re.MULTILINE)


def test_the_recorded_cases_hold_what_they_should():
    cases = [row["case"] for row in CASES.values()]
    met = [({*case["y_true"]}, {*case["y_pred"]}) for case in cases]
    assert len(cases) >= 60
    assert sum(bool(true - predicted) for true, predicted in met) >= 10
    assert sum(bool(predicted - true) for true, predicted in met) >= 5
    assert sum(len(true | predicted) == 1 for true, predicted in met) >= 3
    assert sum("labels" in case for case in cases) >= 10
    assert sum(isinstance(case["y_true"][0], str) for case in cases) >= 10


def test_the_example_of_the_documents():
    """TP 2, FP 1, FN 3, TN 4: precision 2/3, recall 2/5, and F1 0.5, not their mean 0.533."""
    rows = [1] * 5 + [0] * 5, [1, 1, 0, 0, 0, 1, 0, 0, 0, 0]
    assert metrics.precision_score(*rows) == pytest.approx(2 / 3, rel=1e-15)
    assert metrics.recall_score(*rows) == pytest.approx(2 / 5, rel=1e-15)
    assert metrics.f1_score(*rows) == pytest.approx(1 / 2, rel=1e-15)


def test_accuracy_hides_that_the_rare_class_is_never_found():
    rows = [1] * 5 + [0] * 95, [0] * 100
    assert metrics.accuracy_score(*rows) == 0.95
    for score in (metrics.precision_score, metrics.recall_score, metrics.f1_score):
        assert score(*rows) == 0.0


@given(LABELS)
def test_scores_are_those_of_the_definition(pairs):
    true, predicted = zip(*pairs)
    classes = sorted({*true, *predicted})
    p, r, f, support = metrics.precision_recall_fscore_support(
        true, predicted, zero_division=math.nan
    )
    for i, c in enumerate(classes):
        called = [t == c for t, said in pairs if said == c]
        found = [said == c for t, said in pairs if t == c]
        share = [sum(each) / len(each) if each else math.nan for each in (called, found)]
        assert [p[i], r[i]] == pytest.approx(share, nan_ok=True, rel=1e-15)
        assert support[i] == len(found)
        if sum(found):
            assert f[i] == pytest.approx(2 / (1 / p[i] + 1 / r[i]), rel=1e-14)
    micro = metrics.precision_recall_fscore_support(true, predicted, average="micro")[:3]
    assert micro == pytest.approx([metrics.accuracy_score(true, predicted)] * 3, rel=1e-15)


@given(LABELS)
def test_the_matrix_counts_every_row_once(pairs):
    true, predicted = zip(*pairs)
    classes = sorted({*true, *predicted})
    counts = metrics.confusion_matrix(true, predicted)
    assert counts.dtype == np.int64
    expected = [[pairs.count((i, j)) for j in classes] for i in classes]
    assert counts.tolist() == expected
    back = classes[::-1]
    assert (metrics.confusion_matrix(true, predicted, labels=back) == counts[::-1, ::-1]).all()
    shares = metrics.confusion_matrix(true, predicted, normalize="true")
    assert set(np.round(shares.sum(axis=1), 12)) <= {0.0, 1.0}


def test_every_form_of_labels_is_taken():
    true, predicted = [0, 1, 2, 1], [0, 2, 2, 1]
    expected = metrics.confusion_matrix(true, predicted).tolist()
    forms = [
        (np.array(true, np.uint8), np.array(predicted, np.int32)),
        (Tensor(np.array(true)), tuple(predicted)),
        ([Tensor(np.array(t)) for t in true], [np.int64(p) for p in predicted]),
    ]
    forms += [(np.array(true, np.float32), [0.0, 2.0, 2.0, 1.0]), ([0, 1.0, 2, 1], predicted)]
    words = np.array(["a", "bb", "ccc"], dtype=object)
    forms += [(words[true], words[predicted].tolist()), (words[true].astype(str), words[predicted])]
    for form in forms:
        assert metrics.confusion_matrix(*form).tolist() == expected


def test_whole_floats_are_the_integers_that_they_are():
    true, predicted = [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]
    whole = [1, 0, 1], [1, 1, 0]
    for score in SCORES:
        assert np.array_equal(score(true, predicted), score(*whole), equal_nan=False)
    assert metrics.f1_score(true, predicted, labels=[0.0, 1.0], average=None).tolist() == [0, 0.5]
    assert metrics.f1_score(true, predicted, pos_label=1.0) == 0.5


@pytest.mark.parametrize("score", [metrics.precision_score, metrics.recall_score, metrics.f1_score])
def test_one_score_has_every_setting_of_all_four(score):
    true, predicted = [0, 1, 2, 1, 0], [0, 2, 2, 1, 1]
    place = [metrics.precision_score, metrics.recall_score, metrics.f1_score].index(score)
    for settings in (
        {"average": None, "labels": [2, 0]},
        {"average": "macro", "labels": [1, 7], "zero_division": 1.0},
        {"average": "weighted"},
    ):
        every = metrics.precision_recall_fscore_support(true, predicted, **settings)
        assert np.array_equal(score(true, predicted, **settings), every[place])
    pair = [0, 1, 1, 1], [0, 0, 0, 1]
    every = metrics.precision_recall_fscore_support(*pair, average="binary", pos_label=0)
    assert score(*pair, pos_label=0) == every[place]
    with pytest.raises(TypeError, match="beta"):
        score(true, predicted, beta=2.0)


def test_labels_come_from_a_device():
    with strict_cupy.installed():
        true = put(np.array([0, 1, 1]), "cuda")
        assert metrics.accuracy_score(true, Tensor(put(np.array([0, 1, 0]), "cuda"))) == 2 / 3


SCORES = (
    metrics.accuracy_score, metrics.confusion_matrix, metrics.precision_recall_fscore_support,
    metrics.precision_score, metrics.recall_score, metrics.f1_score, metrics.classification_report,
)  # fmt: skip


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.__name__)
@pytest.mark.parametrize(
    ("true", "predicted", "error", "message"),
    [
        ([0, 1], [], ValueError, "^y_pred is empty"),
        ([], [], ValueError, "^y_true is empty"),
        ([0, 1], [0], ValueError, "^y_true has 2 labels and y_pred 1"),
        ([0, 1], [[0.1, 0.9], [0.8, 0.2]], ValueError, r"^y_pred has shape \(2, 2\).*argmax"),
        ([0, 1], Tensor(np.ones((2, 1))), ValueError, r"^y_pred has shape \(2, 1\).*argmax"),
        ([[0, 1]], [[0, 1]], ValueError, r"^y_true has shape \(1, 2\).*reshape\(-1\)"),
        ([[0], [1, 2]], [0, 1], ValueError, "^y_true: the rows are not of equal lengths"),
        (3, [0], ValueError, r"^y_true has shape \(\)"),
        ([0, 1], [0.4, 0.6], TypeError, "^y_pred: labels are integers or strings, not float64"),
        ([0, 1], [0.0, 0.5], TypeError, "^y_pred: labels are .*not float64; .*take the class"),
        ([0.0, math.inf], [0, 1], TypeError, "^y_true: labels are integers or strings, not float"),
        ([0, math.nan], [0, 1], TypeError, "^y_true: labels are integers or strings, not float64"),
        ([0, 1e300], [0, 1], TypeError, "^y_true: labels are integers or strings, not float64"),
        ([0, 1], [None, 1], TypeError, "^y_pred: labels are integers or strings, not object"),
        ([0, 1], ["0", "1"], TypeError, "^y_true holds numbers, y_pred strings"),
        ([0, 1], ["0", 1], TypeError, "^y_pred: strings and numbers are mixed"),
    ],
)
def test_other_labels_are_refused_by_name(score, true, predicted, error, message):
    with pytest.raises(error, match=message):
        score(true, predicted)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average": "mean"}, "average is one of .*not 'mean'"),
        ({"zero_division": "warn"}, "zero_division is 0.0, 1.0 or nan, not 'warn'"),
        ({"zero_division": 0.5}, "not 0.5"),
        ({"beta": -1.0}, "beta is 0 or more"),
        ({"average": "binary"}, "needs two classes, not 3: say average='macro'"),
        ({"labels": [1, 2, 1]}, "labels: 1 stands there twice"),
        ({"labels": []}, "labels is empty"),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        metrics.precision_recall_fscore_support([0, 1, 2], [0, 1, 1], **settings)


def test_the_positive_class_must_be_met():
    with pytest.raises(ValueError, match=r"pos_label=1 is not among the labels \['a', 'b'\]"):
        metrics.f1_score(["a", "b"], ["a", "a"])
    with pytest.raises(ValueError, match=r"pos_label=2 is not among the labels \[0, 1\]"):
        metrics.f1_score([0, 1], [0, 0], pos_label=2)


def test_the_matrix_refuses():
    with pytest.raises(ValueError, match="normalize is 'true', 'pred', 'all' or None, not 'row'"):
        metrics.confusion_matrix([0], [0], normalize="row")
    with pytest.raises(ValueError, match=r"none of the labels \[5\] is in y_true"):
        metrics.confusion_matrix([0], [5], labels=[5])
    with pytest.raises(TypeError, match="y_true holds numbers, labels strings"):
        metrics.confusion_matrix([0], [0], labels=["a"])


def test_a_report_refuses_names_that_do_not_fit():
    with pytest.raises(ValueError, match=r"1 target_names for 2 classes \[0, 1\]"):
        metrics.classification_report([0, 1], [0, 1], target_names=["a"])


def test_chinese_names_stand_in_their_columns():
    report = metrics.classification_report(
        [0, 1, 1], [1, 1, 0], target_names=["体育新闻标题与简讯", "财经"]
    )
    widths = {width(line) for line in report.splitlines() if line}
    assert widths == {18 + 4 * 10 + 1}
    assert report.splitlines()[3].startswith(" " * 14 + "财经       0.50")


@pytest.mark.parametrize(
    ("nll", "expected"),
    [(0.0, 1.0), (math.log(50.0), 50.0), (1000.0, math.inf), (math.inf, math.inf)],
)
def test_perplexity(nll, expected):
    assert metrics.perplexity(nll) == pytest.approx(expected, rel=1e-14)
    assert metrics.perplexity(Tensor(nll)) == pytest.approx(expected, rel=1e-6)


def test_perplexity_of_nan_is_nan():
    assert math.isnan(metrics.perplexity(math.nan))


def test_figures_are_plain_numbers():
    assert type(metrics.accuracy_score([0, 1], [0, 0])) is float
    assert type(metrics.f1_score([0, 1], [0, 0], average="macro")) is float
    report = metrics.classification_report([0, 1], [0, 0], output_dict=True)
    assert json.loads(json.dumps(written(report))) == report
