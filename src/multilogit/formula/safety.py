"""What a formula is allowed to say inside its functions.

A formula may come from a file or a stranger, so it is never run as Python: the tree of
:mod:`.syntax` is checked here against short lists and then walked by :mod:`.evaluate`. There is
no way to write an attribute, an index, an assignment or a function that is not listed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from multilogit.errors import FormulaError
from multilogit.formula.functions import CONTRASTS, FUNCTIONS, Contrast, OptionValue
from multilogit.formula.limits import MAX_OPTION
from multilogit.formula.syntax import (
    Binary,
    Call,
    Group,
    Name,
    Node,
    Number,
    Sequence,
    Sum,
    Text,
    Unary,
)

ARITHMETIC = frozenset(("*", "/", "//", "%", "^", "==", "!=", "<", "<=", ">", ">=", "&", "|"))
CONSTANTS: dict[str, OptionValue] = {
    "True": True,
    "TRUE": True,
    "False": False,
    "FALSE": False,
    "None": None,
    "NULL": None,
}


@dataclass(frozen=True, slots=True)
class Apply:
    """A checked call: data arguments are expressions, options are values."""

    function: str
    arguments: tuple[Checked, ...]
    options: tuple[tuple[str, OptionValue], ...]
    key: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Checked arithmetic: an operator, or ``"sum"`` with signs, on checked operands."""

    op: str
    operands: tuple[Checked, ...]
    start: int
    end: int
    signs: str = ""


Checked = Apply | Operation | Name | Number | Text


def checked(node: Node, formula: str) -> Checked:
    """The expression, if it contains nothing but what is listed.

    Raises
    ------
    FormulaError
        Unknown function, text in arithmetic, operators of terms inside a function, options
        that are not literals; it points at the place.
    """
    if isinstance(node, Name) and not node.quoted and node.text in CONSTANTS:
        raise FormulaError(f"{node.text!r} is not a column.", formula, node.start)
    if isinstance(node, (Name, Number)):
        return node
    if isinstance(node, Group):
        return checked(node.inner, formula)
    if isinstance(node, Call):
        return _checked_call(node, formula)
    if isinstance(node, Sum):
        operands = tuple(checked(part, formula) for _, part in node.parts)
        return Operation("sum", operands, node.start, node.end, "".join(s for s, _ in node.parts))
    if isinstance(node, Unary):
        inner = checked(node.operand, formula)
        return Operation("not" if node.op == "!" else node.op, (inner,), node.start, node.end)
    if isinstance(node, Binary):
        return _checked_binary(node, formula)
    what = "A text" if isinstance(node, Text) else "A list"
    raise FormulaError(
        f"{what} has no meaning here; it can only be an option of a function.", formula, node.start
    )


def _checked_binary(node: Binary, formula: str) -> Operation:
    if node.op not in ARITHMETIC:
        raise FormulaError(
            f"{node.op!r} has no meaning inside a function or on the left-hand side.",
            formula,
            node.left.end,
        )
    operands: list[Checked] = []
    for side in (node.left, node.right):
        if isinstance(side, Text) and node.op in ("==", "!="):
            operands.append(side)
        else:
            operands.append(checked(side, formula))
    return Operation(node.op, tuple(operands), node.start, node.end)


def _checked_call(node: Call, formula: str) -> Checked:
    if node.function == "Q":
        return _quoted_column(node, formula)
    function = FUNCTIONS.get(node.function)
    if function is None:
        raise _unknown_function(node, formula)
    n_data = function.n_data
    if len(node.arguments) < n_data:
        raise FormulaError(
            f"{node.function}() needs {n_data} argument{'s' * (n_data > 1)}.", formula, node.start
        )
    extra = node.arguments[n_data:]
    if len(extra) > len(function.options):
        raise FormulaError(f"{node.function}() has too many arguments.", formula, extra[-1].start)
    named = [*zip(function.options, extra, strict=False), *node.keywords]
    options: dict[str, OptionValue] = {}
    for key, value in named:
        if key == "contr":
            key = "contrasts"
        if key not in function.options or key in options:
            known = ", ".join(function.options) or "none"
            twice = "given twice" if key in options else "unknown"
            raise FormulaError(
                f"{node.function}(): option {key!r} is {twice} (options: {known}).",
                formula,
                value.start,
            )
        options[key] = literal(value, formula)
    arguments = tuple(checked(argument, formula) for argument in node.arguments[:n_data])
    key = canonical(formula, node.start, node.end)
    return Apply(node.function, arguments, tuple(options.items()), key, node.start, node.end)


def _quoted_column(node: Call, formula: str) -> Name:
    if len(node.arguments) == 1 and isinstance(node.arguments[0], Text) and not node.keywords:
        return Name(node.arguments[0].text, node.start, node.end, quoted=True)
    raise FormulaError("Q() takes the name of a column, in quotes.", formula, node.start)


def literal(node: Node, formula: str) -> OptionValue:
    """The value of an option: number, text, truth value, None, contrast, or a list of these.

    Raises
    ------
    FormulaError
        Anything else, or a list of more than 100.
    """
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Unary) and node.op in "+-" and isinstance(node.operand, Number):
        return node.operand.value * (-1 if node.op == "-" else 1)
    if isinstance(node, Name) and node.text in CONSTANTS:
        return CONSTANTS[node.text]
    if isinstance(node, Name) and node.text in CONTRASTS:
        return Contrast(CONTRASTS[node.text])
    if isinstance(node, Call) and node.function in CONTRASTS:
        return _contrast(node, formula)
    items = None
    if isinstance(node, Sequence):
        items = node.items
    elif isinstance(node, Call) and node.function == "c" and not node.keywords:
        items = node.arguments
    if items is None or len(items) > MAX_OPTION:
        raise FormulaError(
            "An option must be a number, a text, True or False, a contrast, or a list of at most "
            f"{MAX_OPTION} of these.",
            formula,
            node.start,
        )
    return tuple(literal(item, formula) for item in items)  # type: ignore[misc]


def _contrast(node: Call, formula: str) -> Contrast:
    """``contr.treatment(base)``, ``Treatment(reference=)``, ``contr.sum()`` ..."""
    kind = CONTRASTS[node.function]
    values = [*node.arguments, *(value for _, value in node.keywords)]
    if not values:
        return Contrast(kind)
    if (
        kind != "treatment"
        or len(values) > 1
        or any(key not in ("base", "reference") for key, _ in node.keywords)
    ):
        raise FormulaError(f"{node.function}() takes no such argument.", formula, values[0].start)
    base = literal(values[0], formula)
    return Contrast(kind, _text_of(base))


def _text_of(value: OptionValue) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _unknown_function(node: Call, formula: str) -> FormulaError:
    if node.function in ("cbind", "offset"):
        place = "the left-hand side" if node.function == "cbind" else "a term of its own"
        return FormulaError(
            f"{node.function}() belongs on {place}."
            if node.function == "cbind"
            else f"offset() must be {place}.",
            formula,
            node.start,
        )
    return FormulaError(
        f"Unknown function {node.function!r}.{suggestion(node.function, FUNCTIONS)} "
        "Compute the column in the data beforehand, or use one of: "
        f"{', '.join(name for name in FUNCTIONS if not name.startswith('np.'))}.",
        formula,
        node.start,
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x' or 'y'?"``, or nothing if no known name is near."""
    close = difflib.get_close_matches(name[:100], list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def canonical(formula: str, start: int, end: int) -> str:
    """The text of an expression without spaces, powers spelt ``^``: equal for equal terms."""
    text = formula[start:end]
    if any(quote in text for quote in "`'\""):
        return text
    return "".join(text.split()).replace("**", "^")


def column_names(node: Checked) -> Iterator[Name]:
    """The columns that a checked expression reads."""
    if isinstance(node, Name):
        yield node
    elif isinstance(node, Apply):
        for argument in node.arguments:
            yield from column_names(argument)
    elif isinstance(node, Operation):
        for operand in node.operands:
            yield from column_names(operand)
