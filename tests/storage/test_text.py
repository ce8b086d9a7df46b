"""JSON is read strictly and written readably."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import ModelFileError
from multilogit.storage.node import Node
from multilogit.storage.text import read_json, write_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)  # fmt: skip


@given(PLAIN)
def test_what_is_written_is_read(document: Any) -> None:
    content = write_json(document)
    assert read_json(content) == document
    assert json.loads(content) == document


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON, or is cut off"),
        (b'{"a": [1, 2', "cut off"),
        (b'{"a": 1} x', "Extra data: line 1, column 10"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a":' * 1_000_000, "nested too deeply"),
        (b"1" * 10_000, "cannot be read"),
        (b"\x80\x04\x95\x00", "UTF-8"),  # a pickle
    ],
)
def test_everything_else_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        read_json(content)


def test_the_layout_is_readable() -> None:
    document = {"name": "x", "short": {"a": 1}, "list": list(range(5)), "rows": [[1, 2], [3, 4]]}
    lines = write_json({**document, "empty": {}, "nothing": []}).decode().splitlines()
    assert lines == [
        "{",
        '  "name": "x",',
        '  "short": {"a": 1},',
        '  "list": [0, 1, 2, 3, 4],',
        '  "rows": [[1, 2], [3, 4]],',
        '  "empty": {},',
        '  "nothing": []',
        "}",
    ]


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert read_json(write_json({"\ud800": "é"})) == {"\ud800": "é"}


# --- nodes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "check", "reason"),
    [
        (1, lambda n: n.record("a"), r"^x: must be an object, not a whole number\.$"),
        ({}, lambda n: n.record("a", "b"), "lacks 'a', 'b'"),
        ({"a": 1, "b": 1}, lambda n: n.record("a"), "has b, which this version does not know"),
        ({"a": 1}, lambda n: n.record("a")["a"].text(), r"^x\.a: must be a text"),
        ([1], lambda n: n.items()[0].text(), r"^x\[0\]: must be a text"),
        ([1], lambda n: n.items(2), "must have 2 entries, not 1"),
        ("a", lambda n: n.items(), "must be a list, not a text"),
        ("a", lambda n: n.choice("b", "c"), "is 'a'; expected 'b' or 'c'"),
        ([], lambda n: n.choice("b"), r"is \[\]"),
        (0, lambda n: n.flag(), "must be true or false"),
        (True, lambda n: n.count(), "must be a whole number, not true or false"),
        (1.0, lambda n: n.count(), "must be a whole number, not a number"),
        (-1, lambda n: n.count(), "must be from 0"),
        (10**30, lambda n: n.count(), "must be from 0"),
        (True, lambda n: n.number(), "must be a number"),
        ("NaN", lambda n: n.number(), "must be a number, not 'NaN'"),
        ("nan", lambda n: n.number(finite=False), "must be a number, not a text"),
        (-1.0, lambda n: n.number(least=0.0), "must not be less than 0"),
        ([1], lambda n: n.texts(), r"^x\[0\]"),
    ],
)
def test_nodes_refuse_with_their_place(value: Any, check: Any, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        check(Node(value, "x"))


def test_nodes_hand_out_what_they_have_checked() -> None:
    found = Node({"a": 1, "c": "NaN"}).record("a", optional=["b", "c"])
    assert set(found) == {"a", "c"}
    assert found["a"].number() == 1.0
    assert found["a"].place == "a"
    assert found["c"].number(finite=False) != 0.0


def test_what_a_stranger_wrote_is_shown_short() -> None:
    with pytest.raises(ModelFileError) as caught:
        Node({"k" * 10_000: 1}, "x").record()
    assert len(str(caught.value)) < 200
