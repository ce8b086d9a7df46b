"""A damaged, hostile or future file: one clear error, and nothing is executed."""

from __future__ import annotations

import contextlib
import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import multilogit as ml
from multilogit.errors import ModelFileError
from multilogit.result.persistence.record import record_of

FORMULA = "y ~ scale(x) + kind + bs(t, df=4) + (1 | a:b)"


def make() -> ml.Fit:
    rng = np.random.default_rng(2)
    n = 120
    data = pd.DataFrame(
        {
            "y": rng.random(n) < 0.5,
            "x": rng.normal(size=n),
            "t": rng.normal(size=n),
            "kind": rng.choice(["u", "v"], n),
            "a": rng.integers(0, 3, n),
            "b": rng.choice(["p", "q"], n),
        }
    )
    return ml.fit(FORMULA, data, prior=ml.RelativeEntropy(), threads=1)


@pytest.fixture(scope="module")
def good() -> dict[str, Any]:
    return json.loads(json.dumps(record_of(make())))


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Any], ml.Fit]:
    def load_document(document: Any) -> ml.Fit:
        path = tmp_path / "fit.json"
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        path.write_bytes(content)
        return ml.load(path)

    return load_document


def changed(document: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy of the document with another value at a place such as ``"solution.trace.rows"``."""
    made = copy.deepcopy(document)
    *way, last = place.split("/")
    inner: Any = made
    for step in way:
        inner = inner[int(step) if isinstance(inner, list) else step]
    if value is DROP:
        del inner[last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = value
    return made


DROP = object()
CODE = "__import__('os').system('touch multilogit_was_here')"
HUGE = {"dtype": "float64", "shape": [2**31, 2**31], "base64": ""}
KEY = "bs(t, df=4)"
BAD: list[tuple[str, Any, str]] = [
    ("format", "something else", "not a model saved by multilogit"),
    ("schema", 2, r"schema 2; this is multilogit .*Install a newer version"),
    ("schema", "1", "schema: must be a whole number"),
    ("schema", 0, "schema: must be from 1"),
    ("extra", 1, "has extra, which this version does not know"),
    ("solution", DROP, "lacks 'solution'"),
    ("design/formula", f"y ~ I({CODE})", "design.formula: is not a formula"),
    ("design/formula", f"y ~ {{{CODE}}}", "design.formula: is not a formula"),
    ("design/formula", "y ~ x.__class__", "design.formula: is not in|not a formula|lacks|not in"),
    ("design/formula", "y ~ " + "(" * 5000, "design.formula: is not a formula"),
    ("design/formula", "y ~ (a+b+c+d+e+f+g+h+i)^5*(j+k+l+m)^5", "formula"),
    ("design/formula", "y ~ scale(x)", "states"),
    ("design/formula", ["y ~ x"], "design.formula: must be a text"),
    ("spec/formula", f"y ~ I({CODE})", "spec.formula: is not a formula"),
    ("design/states", {"scale(x)": {}}, "lacks what bs"),
    ("design/states/" + CODE, {"levels": ["a"]}, "is not in the formula"),
    ("design/states/scale(x)/center", CODE, r"center: must be a number"),
    ("design/states/scale(x)/center", [[[1.0]]], "must be a number, not a list"),
    ("design/states/scale(x)/center", {"__class__": 1}, "degrees"),
    ("design/states/" + KEY + "/knots", [0.0] * 30_000, "too long"),
    ("design/states/kind/levels", [1], r"levels\[0\]: must be a text"),
    ("design/states/kind/code", "x", "has code"),
    ("design/groups", {}, "lacks 'a:b'"),
    ("design/groups/a:b/columns", ["a", "c"], "as in the formula"),
    ("design/groups/a:b/combinations", [[0, 0], [7, 0]], "names levels that there are not"),
    ("design/groups/a:b/parts", [[0, 1, 2]], "must have 2 entries"),
    ("design/groups/a:b/parts/0/0", [1], "is not a level"),
    ("design/offset", 5, "offset: must be a text"),
    ("training/categories", ["a"], "must be different texts"),
    ("training/categories", ["a", "a"], "must be different texts"),
    ("training/family", "poisson", "expected 'binomial' or 'multinomial'"),
    ("training/family", "multinomial", "categories"),
    ("training/columns", ["x"], "terms"),
    ("training/terms/0", "z", "'z' is not in the formula"),
    ("training/n_obs", 0, "n_obs: must be from 1"),
    ("training/n_obs", 1.5, "n_obs: must be a whole number"),
    ("training/n_trials", "Infinity", "n_trials"),
    ("solution/psi", [1.0, 2.0], "solution.psi: has the shape 2; expected"),
    ("solution/psi/0", "NaN", "solution.psi"),
    ("solution/psi/0", CODE, r"solution.psi\[0\]: must be a number"),
    ("solution/status", "fine", "solution.status"),
    ("solution/trace/columns", ["a"], "solution.trace.columns"),
    ("solution/trace/rows/0", [1], "must have 7 entries"),
    ("solution/evaluation/hessian", HUGE, "has 0 bytes; its shape needs 36893488147419103232"),
    ("random/0/modes", [[0.0]], r"random\[0\].modes"),
    ("random/0/group", "c", "is not in the formula"),
    ("random/0/blocks", [2], "must add up"),
    ("random/0/blocks", [10**12], "must add up"),
    ("random/0/Lambda", [["Infinity"]], "Lambda: must be finite"),
    ("random", [], "solution"),
    ("boundary", [0.0], "boundary"),
    ("diagnostics", [{"code": 1}], "diagnostics"),
    ("far", [1.0], "far"),
    ("modes/rows", [0, 99], "modes"),
    ("modes/derivatives", [], "must have 1 entries"),
    ("training/digest", "abc", "digest"),
    ("seconds", -1.0, "seconds"),
    ("options/prior/kind", "os.system", "unknown kind 'os.system'"),
    ("options/prior/strength", -1.0, "positive"),
    ("options/start", "now", "options.start"),
    ("options/nodes", "auto", "options.nodes"),
    ("evidence", {}, "evidence: lacks"),
    ("robust", {"kind": "HC0"}, "robust: lacks"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "reason"), BAD)
def test_what_does_not_belong_is_refused(
    good: dict[str, Any],
    load: Callable[[Any], ml.Fit],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    value: Any,
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match=reason) as caught:
        load(changed(good, place, value))
    assert str(tmp_path / "fit.json") in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"]


@pytest.mark.parametrize(
    ("place", "value"),
    [("training/columns/1", "another"), ("random/0/names/0", "another")],
)
def test_what_does_not_fit_together_is_named_when_it_is_used(
    good: dict[str, Any], load: Callable[[Any], ml.Fit], place: str, value: str
) -> None:
    fit = load(changed(good, place, value))
    with pytest.raises(ml.DataError, match=r"no column 'another'.*the file is damaged"):
        fit.predict(NEW)


@pytest.mark.parametrize("depth", [50, 300, 700, 900, 5_000, 200_000])
def test_nested_values_are_read_or_refused(
    good: dict[str, Any], load: Callable[[Any], ml.Fit], depth: int
) -> None:
    fact = "[" * depth + "]" * depth
    noticed = '[{"code": "c", "severity": "info", "message": "m", "remedy": "r", "facts": {"f": '
    text = json.dumps(changed(good, "diagnostics", 0)).replace(
        '"diagnostics": 0', f'"diagnostics": {noticed}{fact}}}}}]'
    )
    with contextlib.suppress(ModelFileError):
        assert load(text.encode()).diagnostics[0].code == "c"
        assert depth < 5_000


def test_texts_from_a_file_are_escaped_in_html(
    good: dict[str, Any], load: Callable[[Any], ml.Fit]
) -> None:
    script = "<script>alert(1)</script>"
    notice = {"code": "c", "severity": "warning", "message": script, "remedy": "", "facts": {}}
    document = changed(good, "diagnostics", [notice])
    document = changed(document, "training/categories", ["no", script])
    document = changed(document, "random/0/names", [script])
    document = changed(document, "training/columns/1", script)
    html = load(document)._repr_html_()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") >= 4


def test_the_document_that_is_changed_is_good(
    good: dict[str, Any], load: Callable[[Any], ml.Fit]
) -> None:
    assert str(load(good).summary()) == str(load(good).summary())
    assert load(good).coef.size == 7


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b'"fit"', b"\x80\x04K\x01.", b"1"])
def test_other_files_are_refused(load: Callable[[Any], ml.Fit], content: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"Cannot load .*fit\.json"):
        load(content)


@pytest.mark.parametrize("path", ["nowhere.json", ".", "/dev/zero", "http://x/y.json"])
def test_what_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(ModelFileError, match=r"Cannot (load|read) "):
        ml.load(path)


def test_a_truncated_file_is_refused_wherever_it_ends(
    good: dict[str, Any], load: Callable[[Any], ml.Fit]
) -> None:
    content = json.dumps(good).encode()
    for end in np.linspace(0, len(content) - 1, 60).astype(int):
        with pytest.raises(ModelFileError, match="cut off"):
            load(content[:end])


# --- fuzz --------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "NaN", "Infinity", CODE, "y ~ x", "a:b", "base64", "lookup"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "number", "array", "base64", "x"]), inner)
    ),
    max_leaves=4,
)


def places(value: Any, way: str = "") -> Iterator[str]:
    """All places in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        place = f"{way}/{key}" if way else str(key)
        if "/" not in str(key):
            yield place
            if isinstance(item, dict | list):
                yield from places(item, place)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_changed_document_is_refused_or_makes_a_fit(
    good: dict[str, Any], load: Callable[[Any], ml.Fit], data: st.DataObject
) -> None:
    document = good
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(list(places(document))))
        document = changed(document, place, data.draw(VALUES))
    use(load, document)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_changed_bytes_are_refused_or_make_a_fit(
    good: dict[str, Any], load: Callable[[Any], ml.Fit], data: st.DataObject
) -> None:
    content = bytearray(json.dumps(good).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    use(load, bytes(content))


NEW = pd.DataFrame({"x": [0.1], "t": [0.2], "kind": ["u"], "a": [0], "b": ["p"]})


@np.errstate(all="ignore")
def use(load: Callable[[Any], ml.Fit], document: Any) -> None:
    """Load and use: whatever goes wrong is said in the package's own words."""
    try:
        fit = load(document)
    except ModelFileError:
        return
    assert isinstance(str(fit.summary()), str)
    with contextlib.suppress(ml.InputError):
        fit.predict(NEW)


# --- nothing is executed -----------------------------------------------------------------------

_seen: list[str] = []
_watching = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("exec", "os.system", "subprocess.Popen", "pickle.find_class"):
        _seen.append(f"{event} {arguments!r}"[:200])


def test_loading_executes_nothing(good: dict[str, Any], load: Callable[[Any], ml.Fit]) -> None:
    global _watching
    load(good)  # what has to be imported is imported
    sys.addaudithook(_hook)
    documents = [good, *(changed(good, place, value) for place, value, _ in BAD)]
    for document in documents:
        _watching = True
        try:
            load(document)
        except ModelFileError:
            pass
        finally:
            _watching = False
    assert _seen == []
