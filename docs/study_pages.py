"""Write the pages of the study from its stored summaries, docs/study/*.parquet.

    python docs/study_pages.py

Every number on them comes from these files; `multilogit study summarise` makes them from the
results of a run (docs/study-results.md says how).
"""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd
from PIL import Image  # matplotlib brings it

from multilogit.study import Summary, summary_of, write_report
from multilogit.study.choosing import candidates, chosen_of
from multilogit.study.judging import judge
from multilogit.study.report import text_of
from multilogit.study.tables import (
    compare_published,
    coverages,
    log_slope,
    markdown,
    overview,
    overview_in_words,
    title_of,
)

DOCS = Path(__file__).resolve().parent
STORED = DOCS / "study"
DESIGNS = (
    *("stresses", "defaults", "rarest", "sk-separation", "sk-variance", "birthweight"),
    *("calibration", "consistency", "cost"),
)
TEMPLATE = STORED / "results.template"
RESULTS = DOCS / "study-results.md"
_COLOURS = 256
_OURS, _QUADRATURE, _NUTS = "relative-entropy", "relative-entropy-quadrature", "nuts"
_AUTO = "relative-entropy-auto"


def main() -> None:
    """Entry point."""
    summaries = stored()
    for name, summary in summaries.items():
        with tempfile.TemporaryDirectory() as folder:
            made = write_report(summary, Path(folder) / f"{name}.md")
            (STORED / f"{name}.md").write_text(page_of(summary), encoding="utf-8")
            (STORED / name).mkdir(exist_ok=True)
            for picture in sorted(made.with_suffix("").glob("*.png")):
                with Image.open(picture) as image:
                    small = image.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
                    small.save(STORED / name / picture.name, optimize=True)
    RESULTS.write_text(results_page(summaries), encoding="utf-8")


def stored() -> dict[str, Summary]:
    """Every stored summary, by the name of its design."""
    return {name: summary_of(STORED / f"{name}.parquet") for name in DESIGNS}


def page_of(summary: Summary) -> str:
    """The page of one design."""
    return text_of(summary, summary.design.name)


def results_page(summaries: dict[str, Summary]) -> str:
    """The page that says what the study says."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    facts: dict[str, str] = {}
    for part in PARTS:
        facts |= part(summaries)
    return template.substitute(facts)


def _runs(summaries: dict[str, Summary]) -> dict[str, str]:
    """How many fits, how long, on what."""
    rows, fits = [], 0
    for name, summary in summaries.items():
        measures = summary.measures
        done = measures[measures["measure"] == "converged"]
        fits += int(done["n"].sum())
        cells = len(summary.design.cells)
        minutes, killed = _minutes(summary)
        rows.append(
            {
                "design": f"[{name}](study/{name}.md)",
                "cells": cells,
                "estimators": done["estimator"].nunique(),
                "fits": f"{int(done['n'].sum()):,}",
                "replicates per cell": _replicates(done),
                "minutes": f"{minutes:.0f}" if "ended" in summary.sessions[-1] else "–",
                "interrupted": killed,
            }
        )
    first = summaries["stresses"]
    minutes, killed = _minutes(first)
    return {
        "runs": markdown(pd.DataFrame(rows)),
        "fits": f"{fits:,}",
        "stress_minutes": f"{minutes:.0f}",
        "stress_sessions": f"{len(first.sessions)}",
        "stress_killed": f"{killed}",
        "stress_fits": rows[0]["fits"],
        "processors": f"{first.sessions[0]['processors']}",
    }


def _replicates(done: pd.DataFrame) -> str:
    numbers = sorted(set(done.groupby("estimator")["n"].min().astype(int)), reverse=True)
    return ", ".join(f"{number:,}" for number in numbers)


def _minutes(summary: Summary) -> tuple[float, int]:
    """Minutes of all sessions, and how many of them were killed.

    A session that was killed counts until the next one began.
    """
    began = [datetime.fromisoformat(session["began"]) for session in summary.sessions]
    total, killed = 0.0, 0
    for k, session in enumerate(summary.sessions):
        ended = session.get("ended")
        killed += ended is None
        end = datetime.fromisoformat(ended) if ended else began[min(k + 1, len(began) - 1)]
        total += (end - began[k]).total_seconds()
    return total / 60.0, killed


def _claims(summaries: dict[str, Summary]) -> dict[str, str]:
    """Verdicts on the claims, and the numbers that they rest on."""
    rows = [
        {"claim": each.claim, "verdict": f"**{each.verdict}**", "because": each.because}
        for each in judge(summaries["stresses"].measures)
    ]
    table = overview(summaries["stresses"].measures)
    shown = table.loc[
        [name for name in summaries["stresses"].design.estimators if name in table.index]
    ]
    lines = overview_in_words(shown).drop(columns="median β")
    lines = lines.rename(columns={"not usable": "not usable %", "worst": "worst cell %"})
    return {"claims": markdown(pd.DataFrame(rows)), "overview": markdown(lines)}


def _calibration_of_mcmc(summaries: dict[str, Summary]) -> dict[str, str]:
    """Coverage in the cells that MCMC was run on, β and σ apart."""
    measures = summaries["stresses"].measures
    cells = set(measures.loc[measures["estimator"] == _NUTS, "cell"])
    names = (_OURS, _QUADRATURE, "relative-entropy-sampled", _NUTS, "ml")
    chosen = measures[measures["cell"].isin(cells) & measures["estimator"].isin(names)]
    rows = []
    for kind, words in (("beta", "β"), ("sd", "σ")):
        for row in coverages(chosen, kind).itertuples():
            rows.append(
                {
                    "estimator": title_of(row.estimator),
                    "intervals": row.interval,
                    "of": words,
                    "mean": f"{row.mean:.3f}",
                    "worst": f"{row.worst:.3f} ({row.mcse:.3f})",
                    "where": row.cell,
                    "distance": f"{row.miss:.3f}",
                    "width": f"{row.width:.2f}",
                }
            )
    seconds = measures[measures["measure"] == "seconds_median"]
    wide = seconds.pivot(index="cell", columns="estimator", values="value").dropna(subset=_NUTS)
    facts = {"calibration": markdown(pd.DataFrame(rows)), "nuts_cells": f"{len(wide)}"}
    for name, key in ((_OURS, "laplace"), ("relative-entropy-sampled", "sampled")):
        ratio = wide[_NUTS] / wide[name]
        facts[f"speed_{key}"] = f"{np.exp(np.log(ratio).mean()):,.0f}"
        facts[f"speed_{key}_least"] = f"{ratio.min():,.0f}"
        facts[f"speed_{key}_most"] = f"{ratio.max():,.0f}"
    facts["seconds_nuts"] = f"{wide[_NUTS].median():.2f}"
    facts["seconds_ours"] = f"{1000.0 * wide[_OURS].median():.1f}"
    return facts


def _costs(summaries: dict[str, Summary]) -> dict[str, str]:
    """Median seconds as data grow, and how many times longer MCMC takes."""
    measures = summaries["cost"].measures
    seconds = measures[measures["measure"] == "seconds_median"]
    wide = seconds.pivot(index="cell", columns="estimator", values="value")
    wide = wide.loc[wide["lme4"].sort_values().index]
    ratio = (wide[_NUTS] / wide[_OURS]).dropna()
    lines = pd.DataFrame(
        {
            "data": wide.index,
            **{title_of(name): wide[name].map("{:.2g}".format) for name in (_OURS, "lme4", _NUTS)},
            "NUTS / default": ratio.map("{:,.0f}".format).reindex(wide.index),
        }
    ).replace({np.nan: "–", "nan": "–"})
    return {
        "costs": markdown(lines),
        "cost_largest": ratio.index[-1].removeprefix("groups = "),
        "cost_most": f"{ratio.iloc[-1]:,.0f}",
    }


def _numbers(summaries: dict[str, Summary]) -> dict[str, str]:
    """Numbers in sentences."""
    measures = summaries["stresses"].measures
    table = overview(measures)
    fits = measures[(measures["measure"] == "usable") & (measures["estimator"] == _OURS)]
    facts = {
        "ml_worst": f"{100 * table.loc['ml', 'worst']:.0f}",
        "ours_worst": f"{100 * table.loc[_OURS, 'worst']:.1f}",
        "ours_fits": f"{int(fits['n'].sum()):,}",
        "auto_beta": f"{table.loc[_AUTO, 'beta']:.2f}",
        "auto_probability": f"{table.loc[_AUTO, 'probability']:.3f}",
        "auto_factor": f"{table.loc[_AUTO, 'seconds'] / table.loc[_OURS, 'seconds']:.0f}",
    }
    for kind in ("beta", "sd"):
        rows = coverages(measures, kind).set_index(["estimator", "interval"])
        for name, key in ((_OURS, "ours"), ("ml", "ml"), (_AUTO, "auto")):
            for interval in ("wald", "wald-log-sd", "profile"):
                if (name, interval) in rows.index:
                    row = rows.loc[(name, interval)]
                    stem = f"{key}_{interval.replace('-', '_')}_{kind}"
                    facts[stem] = f"{row['mean']:.3f}"
                    facts[f"{stem}_worst"] = f"{row['worst']:.3f}"
                    facts[f"{stem}_where"] = row["cell"]
        facts[f"nuts_{kind}"] = f"{rows.loc[(_NUTS, 'posterior'), 'mean']:.3f}"
        sampled = rows.loc[("relative-entropy-sampled", "posterior"), "mean"]
        facts[f"sampled_{kind}"] = f"{sampled:.3f}"
    for cell, kind, key in (("few groups", "beta", "few"), ("t effects", "sd", "heavy")):
        rows = coverages(measures[measures["cell"] == cell], kind)
        least = rows.set_index(["estimator", "interval"])["worst"]
        facts[f"{key}_wald"] = f"{least[_OURS, 'wald']:.2f}"
        facts[f"{key}_profile"] = f"{least[_OURS, 'profile']:.2f}"
        facts[f"{key}_ml"] = f"{least['ml', 'wald']:.2f}"
        facts[f"{key}_nuts"] = f"{least[_NUTS, 'posterior']:.2f}"
    error = measures[measures["measure"] == "probability_rmse_minus_nuts"]
    nuts = measures[(measures["measure"] == "probability_rmse") & (measures["estimator"] == _NUTS)]
    theirs = nuts.set_index("cell")["value"]
    for name, key in ((_OURS, "ours"), (_QUADRATURE, "quadrature")):
        own = error[error["estimator"] == name].set_index("cell")["value"] / theirs
        facts[f"gap_{key}"] = f"{100 * own.mean():+.1f}"
        facts[f"gap_{key}_most"] = f"{100 * own.max():+.0f}"
        facts[f"gap_{key}_least"] = f"{100 * own.min():+.0f}"
        facts[f"gap_{key}_where"] = own.idxmax()
    return facts


def _worse(summaries: dict[str, Summary]) -> dict[str, str]:
    """Where the default is worse than another estimator on the same data, cell by cell."""
    measures = summaries["stresses"].measures
    rows = []
    for measure, words in (("rmse", "RMSE"), ("coverage_all_wald", "coverage of Wald intervals")):
        chosen = measures[measures["measure"] == measure]
        keys = ["cell", "parameter"]
        ours = chosen[chosen["estimator"] == _OURS].set_index(keys)
        for other in ("ml", "jeffreys", "soft-penalty"):
            theirs = chosen[chosen["estimator"] == other].set_index(keys)
            both = ours.merge(theirs, left_index=True, right_index=True, suffixes=("", "_other"))
            gap = both["value"] - both["value_other"]
            error = np.hypot(both["mcse"], both["mcse_other"])
            sign = 1.0 if measure == "rmse" else -1.0
            counts = sign * gap > np.maximum(2.0 * error, 0.1 * both["value_other"])
            if measure != "rmse":
                counts = (sign * gap > np.maximum(2.0 * error, 0.02)) & (both["value"] < 0.93)
            for (cell, parameter), row in both[counts].iterrows():
                rows.append(
                    {
                        "cell": cell,
                        "parameter": parameter,
                        "measure": words,
                        "default": f"{row['value']:.2f} ({row['mcse']:.2f})",
                        "other": f"{title_of(other)}: {row['value_other']:.2f}",
                    }
                )
    table = pd.DataFrame(rows, columns=["cell", "parameter", "measure", "default", "other"])
    merged = table.groupby(["cell", "parameter", "measure", "default"], sort=False)["other"]
    return {"worse": markdown(merged.agg("; ".join).reset_index())}


def _choice(summaries: dict[str, Summary]) -> dict[str, str]:
    """What the rule chooses, and how the choice fares on the designs that confirm."""
    table = candidates(summaries["defaults"].measures)
    best = chosen_of(table)
    both = table.merge(
        candidates(summaries["stresses"].measures), on=["estimator", "interval"], how="left",
        suffixes=("", "_confirm"),
    )  # fmt: skip
    lines = pd.DataFrame(
        {
            "estimator": both["estimator"].map(title_of),
            "intervals": both["interval"],
            "missing": _both(both, "shortfall", "{:.4f}"),
            "mean": _both(both, "mean", "{:.3f}"),
            "worst": _both(both, "worst", "{:.2f}"),
            "RMSE": _both(both, "rmse", "{:.3f}"),
            "width": _both(both, "width", "{:.2f}"),
        }
    )
    return {
        "choice": markdown(lines),
        "chosen": f"{title_of(best['estimator'])}, {best['interval']} intervals",
    }


def _decision(summaries: dict[str, Summary]) -> dict[str, str]:
    """Numbers of the decision: coverage missing in percentage points, RMSE, rarest events."""
    facts = {}
    for design in ("defaults", "stresses"):
        rows = candidates(summaries[design].measures).set_index(["estimator", "interval"])
        for (name, interval), row in rows.iterrows():
            stem = f"{design}_{name}_{interval}".replace("-", "_").replace(".", "_")
            facts[f"{stem}_missing"] = f"{100 * row['shortfall']:.2f}"
            facts[f"{stem}_rmse"] = f"{row['rmse']:.3f}"
            facts[f"{stem}_worst"] = f"{row['worst']:.3f}"
    rare = summaries["rarest"].measures
    table = overview(rare)
    beta = coverages(rare, "beta").set_index("estimator")
    for name, key in ((_OURS, "tempered"), ("relative-entropy-uniform", "uniform")):
        facts[f"rarest_{key}"] = f"{beta.loc[name, 'worst']:.2f}"
        facts[f"rarest_{key}_mean"] = f"{beta.loc[name, 'mean']:.3f}"
    facts["rarest_error"] = f"{table.loc['relative-entropy-uniform', 'probability']:.2f}"
    marginal = table.loc["relative-entropy-marginal"]
    facts["rarest_marginal"] = f"{100 * marginal['worst']:.0f}"
    facts["rarest_marginal_error"] = f"{marginal['probability']:.1f}"
    facts["rarest_ours"] = f"{100 * table.loc[_OURS, 'worst']:.0f}"
    return facts


def _both(table: pd.DataFrame, name: str, form: str) -> list[str]:
    """Values of the design that chooses and of the one that confirms."""
    pairs = zip(table[name], table[f"{name}_confirm"], strict=True)
    return [f"{form.format(a)} / {'–' if np.isnan(b) else form.format(b)}" for a, b in pairs]


def _published(summaries: dict[str, Summary]) -> dict[str, str]:
    """Published values and ours."""
    rows, facts = [], {}
    for name in ("sk-separation", "sk-variance", "birthweight"):
        summary = summaries[name]
        table = compare_published(pd.DataFrame(list(summary.design.published)), summary.measures)
        for estimator, own in table.groupby("estimator", sort=False):
            z = own["z"]
            rows.append(
                {
                    "design": name,
                    "estimator": title_of(estimator),
                    "values": len(own),
                    "beyond 3": int((z.abs() > 3.0).sum()),
                    "root mean square of z": f"{np.sqrt((z**2).mean()):.2f}",
                    "largest |z|": f"{z.abs().max():.1f}",
                }
            )
    facts["published"] = markdown(pd.DataFrame(rows))
    birth = compare_published(
        pd.DataFrame(list(summaries["birthweight"].design.published)),
        summaries["birthweight"].measures,
    )
    birth = birth[birth["parameter"] == "(Intercept)"]
    lines = []
    for estimator, own in birth.groupby("estimator", sort=False):
        one = own.set_index("measure")
        pairs = {
            measure: f"{one.loc[measure, 'value']:.2f} ({one.loc[measure, 'value_published']:.2f})"
            for measure in ("bias", "rmse")
        }
        lines.append({"estimator": title_of(estimator), **pairs})
    facts["birthweight"] = markdown(pd.DataFrame(lines))
    facts["variance"] = _unusable(summaries["sk-variance"], "log σ", boundary=True)
    facts["separation"] = _unusable(summaries["sk-separation"], "λ")
    for name, key in (("ml-20", "ours"), ("lme4-20", "lme4")):
        rate = _rates(summaries["sk-variance"], "unusable", name, "sterzinger-kosmidis-50").iloc[-1]
        facts[f"variance_{key}"] = f"{100 * rate:.0f}"
    return facts


def _rates(summary: Summary, measure: str, estimator: str, panel: str) -> pd.Series:
    """Rates of one estimator in the cells of one panel, by what varies."""
    x = {
        cell.name: list(cell.varied.values())[-1]
        for cell in summary.design.cells
        if cell.varied["rows"] == panel
    }
    table = summary.measures
    table = table[(table["measure"] == measure) & (table["estimator"] == estimator)]
    table = table[table["cell"].isin(x)]
    return pd.Series(table["value"].to_numpy(), index=table["cell"].map(x)).sort_index()


def _published_rates(summary: Summary, panel: str) -> list[str]:
    """Percent of unusable estimates of maximum likelihood, as published, in the design's order."""
    return [
        f"{100 * entry['value']:.0f}"
        for entry in summary.design.published
        if entry["estimator"] == "ml-20" and panel in entry["cell"]
    ]


def _unusable(summary: Summary, varies: str, boundary: bool = False) -> str:
    """Percent of unusable estimates at 50 rows; with ``boundary`` those on it in parentheses."""
    panel = "sterzinger-kosmidis-50"
    rows = {"ML, published": _published_rates(summary, panel)}
    for name in ("ml-20", "lme4-20", "soft-penalty-20", _OURS):
        every = _rates(summary, "unusable", name, panel)
        shown = [f"{100 * value:.0f}" for value in every]
        if boundary:
            zero = _rates(summary, "unusable_boundary", name, panel)
            shown = [f"{value} ({100 * at:.0f})" for value, at in zip(shown, zero, strict=True)]
        rows[title_of(name)] = shown
    table = pd.DataFrame(rows, index=[f"{value:g}" for value in every.index]).T
    return markdown(table.rename_axis(varies).reset_index())


def _ranks(summaries: dict[str, Summary]) -> dict[str, str]:
    """Uniformity of posterior probabilities."""
    measures = summaries["calibration"].measures
    distances = measures[measures["measure"] == "ks"]
    rows = []
    for name, own in distances.groupby("estimator", sort=False):
        rows.append(
            {
                "posterior": title_of(name),
                "replicates": f"{int(own['n'].min())}",
                "distances above 1.36": f"{int((own['value'] > 1.358).sum())} of {len(own)}",
                "median": f"{own['value'].median():.2f}",
                "largest": f"{own['value'].max():.2f}",
                "where": f"{own.loc[own['value'].idxmax(), 'cell']}: "
                f"{own.loc[own['value'].idxmax(), 'parameter']}",
            }
        )
    return {"ranks": markdown(pd.DataFrame(rows))}


def _slopes(summaries: dict[str, Summary]) -> dict[str, str]:
    """Slopes of log RMSE on log n."""
    summary = summaries["consistency"]
    sizes = {cell.name: cell.groups for cell in summary.design.cells}
    chosen = summary.measures[summary.measures["measure"] == "rmse"]
    table = chosen.assign(x=chosen["cell"].map(sizes))
    rows = []
    for (name, parameter), own in table.groupby(["estimator", "parameter"], sort=False):
        slope, error = log_slope(own[own["x"] >= 10])
        large, large_error = log_slope(own[own["x"] >= 100])
        last = own.sort_values("x").iloc[-1]
        rows.append(
            {
                "estimator": title_of(name),
                "parameter": parameter,
                "slope": f"{slope:.3f} ({error:.3f})",
                "slope, 100 groups and more": f"{large:.3f} ({large_error:.3f})",
                f"RMSE at {int(last['x']):,} groups": f"{last['value']:.4f} ({last['mcse']:.4f})",
            }
        )
    return {"slopes": markdown(pd.DataFrame(rows))}


PARTS = (
    *(_runs, _claims, _numbers, _calibration_of_mcmc, _costs, _worse),
    *(_choice, _decision, _published, _ranks, _slopes),
)
"""What fills the template."""


if __name__ == "__main__":
    main()
