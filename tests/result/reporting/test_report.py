"""The report: what it says is what the fit says, for every kind of fit."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

import multilogit as ml
from multilogit.page.document import Finding
from multilogit.result.reporting.reporter import Reporter
from multilogit.result.reporting.search_section import call_of
from multilogit.result.reporting.verdict import verdict as judgement


def people(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    school, site = rng.integers(0, 15, n), rng.integers(0, 12, n)
    x, z = rng.normal(size=n), rng.choice(["low", "high"], n)
    eta = 0.6 * x + (z == "low") + rng.normal(0, 0.7, 15)[school] + rng.normal(0, 0.4, 12)[site]
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    k = np.where(rng.random(n) < 0.3, "other", np.where(y == 1, "yes", "no"))
    columns = {"y": y, "k": k, "x": x, "z": z, "school": school, "site": site}
    return pd.DataFrame(columns | {"n": rng.integers(1, 4, n)})


def words(path: Path) -> str:
    """What a reader sees."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def verdict(path: Path) -> str:
    found = re.search(r'class="finding verdict (\w+)"', path.read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


FITS = {
    "single": ("y ~ x + z", {}),
    "mixed": ("y ~ x * z + (1 + x | school)", {}),
    "multinomial mixed": ("k ~ x + z + (1 | school)", {"baseline": "no"}),
    "penalised": ("y ~ x + (1 | school) + (1 | site)", {"prior": ml.RelativeEntropy()}),
    "weighted": ("y ~ x", {"weights": "n"}),
}


def fitted(kind: str) -> ml.Fit:
    formula, options = FITS[kind]
    return ml.fit(formula, people(), **options)


@pytest.mark.parametrize("kind", ["multinomial mixed", "penalised", "weighted"])
def test_report(kind: str, tmp_path: Path) -> None:
    path, fit = tmp_path / "report.html", fitted(kind)
    fit.report(path)
    shown = words(path)
    assert "Not shown" not in shown
    assert verdict(path) == ("care" if kind == "weighted" else "good")  # z is left out
    assert fit.spec.formula in shown
    for name in fit.labels.columns:
        assert name in shown
    ratio = fit.odds_ratios()["odds_ratio"].iloc[-1]
    assert f"{ratio:#.3g}" in shown
    assert f"AIC {fit.aic:.{1 if fit.random else 2}f}" in shown
    if fit.random:
        assert f"{fit.variance_components['sd'].iloc[0]:.4g}" in shown
        assert "Median odds ratio" in shown
    pictures = path.read_text(encoding="utf-8").count("data:image/svg+xml;base64,")
    assert pictures == 5 + len(fit.random)


@pytest.mark.parametrize("kind", FITS)
def test_the_call_makes_the_same_fit(kind: str) -> None:
    fit = fitted(kind)
    namespace: dict[str, Any] = {"data": people()}
    exec(call_of(Reporter(fit, None, 0.95, 0, False)), namespace)
    pd.testing.assert_series_equal(namespace["fit"].coef, fit.coef)
    assert namespace["fit"].loglik == fit.loglik


def test_a_saved_model_has_a_report(tmp_path: Path) -> None:
    fit = fitted("mixed")
    fit.save(tmp_path / "fit.json")
    again = ml.load(tmp_path / "fit.json")
    again.report(tmp_path / "without.html")
    assert "Not shown: calibration" in words(tmp_path / "without.html")
    again.report(tmp_path / "with.html", new=people())
    shown = words(tmp_path / "with.html")
    assert "Not shown: calibration" not in shown
    assert "data that the report was given" in shown
    assert f"0 is perfect {fit.brier:.3f} Brier skill" in shown


def test_a_separated_fit_is_called_bad(tmp_path: Path) -> None:
    data = people(80)
    fit = ml.fit("y ~ x + s", data.assign(s=data["y"] * 2 - 1))
    fit.report(tmp_path / "a.html")
    assert verdict(tmp_path / "a.html") == "bad"
    shown = words(tmp_path / "a.html")
    assert "Not to be trusted" in shown
    assert next(d.message for d in fit.diagnostics if d.code == "separation") in shown
    assert "How to read it" not in shown


@pytest.mark.parametrize(
    ("formula", "data", "reason"),
    [
        ("y ~ x + (1 | few)", people().assign(few=lambda d: d["school"] % 3), "Few levels of few"),
        (
            "y ~ x",
            people().assign(x=lambda d: (d["y"] - 0.5) * 2 + d["x"] ** 3),
            "The data deviate",
        ),
        ("y ~ x + z + site + n", people(60), "Few observations for so many coefficients"),
        ("y ~ x + twice", people().assign(twice=lambda d: 2 * d["x"]), "aliased columns"),
    ],
)
def test_doubts_are_told(formula: str, data: pd.DataFrame, reason: str) -> None:
    fit = ml.fit(formula, data)
    report = Reporter(fit, None, 0.95, 0, False)
    report.test_residuals()
    first, reasons = judgement(report)
    assert first.tone == "care"
    assert [block for block in reasons if isinstance(block, Finding) and reason in block.title]


def test_the_same_fit_makes_the_same_page(tmp_path: Path) -> None:
    fit = ml.fit("y ~ z", people(100))
    for name in ("a", "b"):
        fit.report(tmp_path / name, title="Both")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "<h1>Both</h1>" in (tmp_path / "a").read_text(encoding="utf-8")


def test_options_of_the_report(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    fit = ml.fit("y ~ x", people())
    fit.report(tmp_path / "a.html", level=0.9, profile=True, progress=lambda *at: steps.append(at))
    assert "90 % interval" in words(tmp_path / "a.html")
    assert steps[-1][0] == steps[-1][1]
    robust = fit.with_vcov("cluster", groups=people()["school"])
    call = call_of(Reporter(robust, None, 0.95, 0, False))
    assert call.endswith("fit = fit.with_vcov('CR1', groups=data['school'])")


def test_hostile_names(tmp_path: Path) -> None:
    bad = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "</style>'$x$"]
    data = people().rename(columns={"x": bad[0], "y": bad[1], "school": bad[2]})
    data["z"] = np.where(data["z"] == "low", "<i>low</i>", "`high`\u202e")
    fit = ml.fit(f"`{bad[1]}` ~ `{bad[0]}` + z + (1 | `{bad[2]}`)", data)
    fit.report(tmp_path / "a.html", title=bad[0])
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img src=x|i)\b", text)
    assert text.count("</style>") == 1
    assert bad[0] in words(tmp_path / "a.html")


def test_bad_input_is_told_before_the_work(tmp_path: Path) -> None:
    fit = ml.fit("y ~ x", people())
    with pytest.raises(ml.InputError, match="no such directory"):
        fit.report(tmp_path / "nowhere" / "a.html")
    with pytest.raises(ml.InputError, match="Cannot write"):
        fit.report(tmp_path)
    with pytest.raises(ml.OptionError):
        fit.report(tmp_path / "a.html", level=95)
