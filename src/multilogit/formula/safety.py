"""What a formula is allowed to say inside its functions.

A formula may come from a file or a stranger, and the inside of functions is evaluated as Python,
by formulaic and by :mod:`.evaluate`. So every column is first given an identifier of its own (it
cannot shadow a function), the text is parsed with :func:`ast.parse`, and the tree is rebuilt from
listed nodes and functions only: there is no way to write an attribute, an index, an assignment or
a function that is not listed. What comes out is the only text that is ever evaluated.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import warnings
from collections.abc import Iterable, Sequence
from functools import partial, reduce
from typing import NoReturn

from multilogit.errors import FormulaError
from multilogit.formula.functions import (
    ARITY,
    BLOCKS,
    CONTRASTS,
    FACTORS,
    FUNCTIONS,
    INSTEAD,
    LEARNING,
    signature,
)
from multilogit.formula.limits import MAX_EXPONENT, MAX_OPERATORS, MAX_OPTION
from multilogit.formula.spec import Name, Variable
from multilogit.formula.tokens import Token

_WORDS = {"TRUE": "True", "FALSE": "False", "NULL": "None", "True": "True", "False": "False"}
_WORDS |= {"None": "None", "^": "**", "&": "and", "|": "or", "!": "not"}  # R's and Python's
_RESERVED = {name.partition(".")[0] for name in (*FUNCTIONS, *CONTRASTS, "coded")}
_CODING = ("contrasts", "base")  # what becomes of a factor: formulaic's business
_NODES = (
    *(ast.Name, ast.Attribute, ast.Constant, ast.List, ast.Call, ast.keyword, ast.expr_context),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.UnaryOp, ast.USub, ast.UAdd, ast.Not, ast.BoolOp, ast.And, ast.Or),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)


def alias(column: str) -> str:
    """The identifier that a column goes by in expressions: its name, or that in hexadecimal."""
    plain = column.isascii() and column.isidentifier() and not column.startswith("_")
    if plain and column not in _RESERVED and not keyword.iskeyword(column):
        return column
    return "_" + column.encode("utf-8", "surrogatepass").hex()


def suggestion(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x' or 'y'?"``, or nothing if no known name is near."""
    close = difflib.get_close_matches(name[:100], list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def check(formula: str, tokens: Sequence[Token], name: str) -> Variable:
    """The variable that some tokens of a formula stand for, if nothing unlisted is in them.

    Raises
    ------
    FormulaError
        Unknown function, text in arithmetic, operators of terms inside a function, options that
        are not literals, an expression that is too long; it points at the place.
    """
    first = tokens[0]
    if len(tokens) == 1 and first.kind in ("name", "quoted"):
        return Variable(first.text, alias(first.text), (Name(first.text, first.start),), "column")
    operators = sum(t.kind == "op" and t.text not in "()[]," for t in tokens)
    if operators > MAX_OPERATORS or len(tokens) > 10 * MAX_OPERATORS:
        what = f"This has more than {MAX_OPERATORS} operators: compute the column beforehand."
        raise FormulaError(what, formula, first.start)
    return _Checker(formula).variable(tokens, name)


class _Checker:
    """Parses and checks one expression."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.places: dict[int, int] = {}  # place in the formula by place in the Python text
        self.names: dict[str, Name] = {}  # columns by alias

    def error(self, what: str, at: ast.AST | int) -> NoReturn:
        start = at if isinstance(at, int) else self.places.get(getattr(at, "col_offset", 0), 0)
        raise FormulaError(what, self.formula, start)

    def variable(self, tokens: Sequence[Token], name: str) -> Variable:
        tree = self.parse(tokens)
        while called(tree) == "I" and isinstance(tree, ast.Call):
            self.check(tree, tree)
            tree = tree.args[0]
        self.check(tree, tree)
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                self.check(child, node)
        if not self.names:
            self.error("A term must read at least one column.", tokens[0].start)
        tree = _Rewriter().visit(tree)
        contrast, width, factor = "", 1, is_truth(tree)
        if isinstance(tree, ast.Call) and called(tree) in (*FACTORS, *BLOCKS):
            (_, data), *options = self.bound(tree).items()
            contrast = "".join(ast.unparse(value) for key, value in options if key == "contrasts")
            for base in (value for key, value in options if key == "base"):
                contrast = f"contr.treatment({ast.unparse(base)})"
            width = 3 + sum(_size(value) for _, value in options)
            factor = called(tree) in FACTORS
            others = [ast.keyword(key, value) for key, value in options if key not in _CODING]
            tree = ast.Call(tree.func, [data], others)
        learns = any(called(node) in LEARNING for node in ast.walk(tree))
        kind = "factor" if factor else "transform" if learns else "number"
        kind = "column" if isinstance(tree, ast.Name) else kind
        return Variable(name, ast.unparse(tree), tuple(self.names.values()), kind, contrast, width)  # type: ignore[arg-type]

    def parse(self, tokens: Sequence[Token]) -> ast.expr:
        """The tokens as Python."""
        source = ""
        for k, token in enumerate(tokens):
            self.places[len(source)] = token.start
            around = tokens[max(k - 1, 0)], tokens[min(k + 1, len(tokens) - 1)]
            source += self.spelt(token, *around) + " "
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # SyntaxWarning: a number is called, and the like
                return ast.parse(source, mode="eval").body
        except SyntaxError as error:
            place = max((k for k in self.places if k < (error.offset or 1)), default=0)
            self.error("This is not an expression.", self.places[place])
        except (ValueError, RecursionError, MemoryError):
            self.error("This is not an expression.", tokens[0].start)

    def spelt(self, token: Token, before: Token, after: Token) -> str:
        """A token as Python has it."""
        text = token.text
        if token.is_op(":", "~", "||", "%in%", "{", "}"):
            what = "has no meaning inside a function or on the left-hand side."
            self.error(f"{text!r} {what}", token.start)
        if token.kind == "number":  # no integers beyond those that are floats, too
            return text if len(text) < 16 else repr(float(text))
        if token.kind == "string":
            return ascii(text)  # places in the Python text are counted in bytes
        if (token.kind != "quoted" and text in _WORDS) or token.kind == "op":
            return _WORDS.get(text, text)
        if token.kind == "name" and after.is_op("("):
            self.check_function(token)
            return text
        if token.kind == "name" and after.is_op("=") and text.isascii() and text.isidentifier():
            return text
        if token.kind == "name" and text in CONTRASTS and before.is_op(",", "="):
            return f"{text}()"
        self.names.setdefault(alias(text), Name(text, token.start))
        return alias(text)

    def check_function(self, token: Token) -> None:
        name = token.text
        if name in ("cbind", "offset"):
            place = "on the left-hand side" if name == "cbind" else "in a term of its own"
            self.error(f"{name}() belongs {place}.", token.start)
        if name in INSTEAD:
            self.error(f"Unknown function {name!r}. {INSTEAD[name]}", token.start)
        if name not in (*FUNCTIONS, *CONTRASTS, "c"):
            known = ", ".join(known for known in FUNCTIONS if not known.startswith("np."))
            what = f"Unknown function {name!r}.{suggestion(name, FUNCTIONS)}"
            advice = f"Compute the column in the data beforehand, or use one of: {known}."
            self.error(f"{what} {advice}", token.start)

    def check(self, node: ast.AST, parent: ast.AST) -> None:
        """Refuse a node that is not listed, or not there."""
        listed = isinstance(parent, ast.Call | ast.keyword)
        match node:
            case ast.Call():
                self.check_call(node, parent)
            case ast.Constant(value=str()) if not (listed or isinstance(parent, ast.List)):
                if not isinstance(parent, ast.Compare):
                    self.error("A text has no meaning here.", node)
            case ast.List(elts=items):
                self.check_list(node, items, parent)
            case ast.Compare(ops=[_, _, *_]):
                self.error("Comparisons cannot be chained: write x > 0 & x < 1.", node)
            case ast.BinOp(op=ast.Pow()) if not (self.reads(node) or _is_small_power(node)):
                self.error("This power of numbers may be large: write its value.", node)
            case _ if not isinstance(node, _NODES):
                self.error("Only arithmetic, comparisons and listed functions make sense.", node)

    def check_list(self, node: ast.expr, items: Sequence[ast.expr], parent: ast.AST) -> None:
        option = isinstance(parent, ast.Call | ast.keyword)
        if not option or len(items) > MAX_OPTION or any(map(self.reads, items)):
            self.error(f"A list is an option, of at most {MAX_OPTION} numbers or texts.", node)

    def check_call(self, node: ast.Call, parent: ast.AST) -> None:
        name = called(node)
        if name == "c" and not node.keywords:
            self.check_list(node, node.args, parent)
        elif name in ARITY:
            if len(node.args) != ARITY[name] or node.keywords:
                arguments = f"{ARITY[name]} argument{'s' * (ARITY[name] > 1)} and no options"
                self.error(f"{name}() needs {arguments}.", node)
        elif name in (*FACTORS, *LEARNING, *CONTRASTS):
            nested = name in FACTORS and called(parent) in FACTORS
            if name in (*BLOCKS, *FACTORS) and not nested and node is not parent:
                self.error(f"{name}() makes a factor or several columns: a term of its own.", node)
            data = 0 if name in CONTRASTS else 1
            for key, value in [*self.bound(node).items()][data:]:
                self.check_option(key, value)
        else:
            self.error(f"{name or 'This'} cannot be called here.", node)

    def check_option(self, key: str, value: ast.expr) -> None:
        if key.startswith("_") or self.reads(value):
            what = "must be a number, a text, True or False, a contrast, or a list of these."
            self.error(f"An option {what}", value)
        if key == "contrasts" and called(value) not in CONTRASTS:
            self.error(f"This is not a contrast. Listed: {', '.join(CONTRASTS)}.", value)
        number = getattr(value, "value", 0)
        if key in ("df", "degree") and number not in (None, *range(1, MAX_OPTION + 1)):
            self.error(f"{key}= must be an integer from 1 to {MAX_OPTION}.", value)

    def bound(self, node: ast.Call) -> dict[str, ast.expr]:
        """The arguments of a function that takes options, by name."""
        given = {option.arg or "**": option.value for option in node.keywords}
        if len(given) < len(node.keywords):
            self.error(f"{called(node)}(): an option is given twice.", node)
        try:
            return signature(called(node)).bind(*node.args, **given).arguments
        except TypeError as error:
            self.error(f"{called(node)}(): {error}.", node)

    def reads(self, node: ast.AST) -> bool:
        """Whether there is a column in an expression."""
        return any(isinstance(n, ast.Name) and n.id in self.names for n in ast.walk(node))


class _Rewriter(ast.NodeTransformer):
    """Makes R's arithmetic of Python's: truth values count as 0 and 1, ``!``, ``&``, ``|``."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return ast.BinOp(_number(node.left), node.op, _number(node.right))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            return _logical("not", node.operand)
        return ast.UnaryOp(node.op, _number(node.operand))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        function = "and" if isinstance(node.op, ast.And) else "or"
        return reduce(partial(_logical, function), node.values)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if called(node) == "I":
            return node.args[0]
        if called(node) == "c":
            return ast.List(node.args, ast.Load())
        if called(node) in ARITY:
            node.args = [_number(argument) for argument in node.args]
        return node


def _logical(function: str, *arguments: ast.expr) -> ast.expr:
    called = ast.Attribute(ast.Name("np", ast.Load()), f"logical_{function}", ast.Load())
    return ast.Call(called, list(arguments), [])


def _size(option: ast.expr) -> int:
    """At most how many columns an option may ask for: df, degree, knots."""
    number = getattr(option, "value", 0)
    return len(getattr(option, "elts", ())) + (number if isinstance(number, int) else 0)


def _is_small_power(node: ast.BinOp) -> bool:
    """``10^6``, ``2^-1``."""
    exponent = node.right.operand if isinstance(node.right, ast.UnaryOp) else node.right
    numbers = isinstance(node.left, ast.Constant) and isinstance(exponent, ast.Constant)
    return numbers and getattr(exponent, "value", None) in range(MAX_EXPONENT + 1)


def _number(node: ast.expr) -> ast.expr:
    return ast.BinOp(ast.Constant(1.0), ast.Mult(), node) if is_truth(node) else node


def is_truth(node: ast.AST) -> bool:
    """Whether an expression makes truth values."""
    return isinstance(node, ast.Compare) or called(node).startswith("np.logical")


def called(node: ast.AST) -> str:
    """The name of the function that is called: ``log``, ``np.log``; empty for all else."""
    function = node.func if isinstance(node, ast.Call) else None
    return ast.unparse(function) if isinstance(function, ast.Name | ast.Attribute) else ""
