"""How the fit was found, and how to do it again."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sized
from importlib.metadata import PackageNotFoundError, version

from multilogit._version import __version__
from multilogit.page.document import Block, Code, Facts, Section, Text
from multilogit.prior import Specification
from multilogit.result.reporting.cells import column, table, typeset
from multilogit.result.reporting.reporter import Reporter, picture

_CLASS = re.compile(r"\b([A-Z]\w*(?=\())")
_PACKAGES = ("numpy", "scipy", "pandas", "formulaic", "narwhals", "matplotlib")


def search_section(report: Reporter) -> Section:
    """The trace of the search, the profiles, the strength."""
    fit = report.fit
    trace = fit.trace
    intro = Text(
        f"Newton–Raphson with exact derivatives: {fit.n_iterations} iterations, "
        f"{fit.solution.n_evaluations} evaluations of the log-likelihood, {fit.seconds:.3g} s."
    )
    columns = [
        [str(k) for k in trace["iteration"]],
        [typeset(f"{x:.6f}") for x in trace["objective"]],
        *([typeset(f"{x:.1e}") for x in trace[name]] for name in ("gradient_norm", "decrement")),
        column(trace["step"], 3),
        column(trace["ridge"], 3),
    ]
    header = ["iteration", "objective", "largest |gradient|", "Newton decrement", "step", "ridge"]
    blocks: list[Block] = [
        intro,
        picture(report.plot.trace(), "Distance from the maximum by iteration."),
        table(header, columns),
    ]
    if fit.evidence is not None:
        blocks.append(
            picture(report.plot.evidence(), "Strengths of the prior and how well they do.")
        )
    if report.profile:
        blocks += report.attempt("profiles of the likelihood", lambda: _profiles(report))
    return Section("How it was found", tuple(blocks))


def _profiles(report: Reporter) -> Iterator[Block]:
    figure = report.plot.profile(level=report.level)
    yield picture(figure, "Profiles of the likelihood in every parameter, with intervals.")


def again_section(report: Reporter) -> Section:
    """The call, and the versions."""
    facts = [
        ("multilogit", __version__),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("Packages", ", ".join(f"{name} {found}" for name, found in _versions())),
        ("Responses", f"SHA-256 `{report.fit.training.digest}`"),
    ]
    told = Text(
        "The digest is that of the responses in the order of the rows: another fit to the same "
        "responses has the same."
    )
    return Section("Again", (Code(call_of(report)), Facts(tuple(facts)), told))


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def call_of(report: Reporter) -> str:
    """Python that fits the model again."""
    spec = report.fit.spec
    arguments = [repr(spec.formula), "data"]
    arguments += [f"{name}={_value(value)}" for name, value in spec.options.items()]
    one = f"fit = ml.fit({', '.join(arguments)})"
    if len(one) > 88:
        one = "fit = ml.fit(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"
    lines = ["import multilogit as ml", "", "# data: the table that the formula reads", one]
    if report.fit.robust is not None:
        robust = report.fit.robust
        inside = robust.groups in report.fit.n_groups
        clusters = repr(robust.groups) if inside else f"data[{robust.groups!r}]"
        groups = f", groups={clusters}" if robust.groups else ""
        lines.append(f"fit = fit.with_vcov({robust.kind!r}{groups})")
    return "\n".join(lines)


def _value(value: object) -> str:
    """An option as Python writes it; arrays by their size."""
    if isinstance(value, Specification):
        return _CLASS.sub(r"ml.\1", repr(value))
    if isinstance(value, Sized) and not isinstance(value, str):
        return f"...  # {len(value)} values"
    return repr(value)
