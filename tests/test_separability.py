"""``ml.separation``, the automatic check of diverging fits, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit

import multilogit as ml
from multilogit.data.model_frame import ModelFrame
from multilogit.data.populations import collapse
from multilogit.divergence.explanation import explain_divergence
from multilogit.divergence.finding import separation_diagnostic
from multilogit.divergence.symptoms import check_fit, shows_symptoms
from multilogit.errors import Status
from multilogit.estimate import Estimate, Options, estimate_mixed, fixed_likelihood
from multilogit.estimate.joint_cone import jointly_separated
from multilogit.estimate.recession import find_separation
from multilogit.formula import build_frame
from multilogit.newton import Solution, maximise


def like_endometrial(n: int = 60, seed: int = 2) -> pd.DataFrame:
    """A small analogue of the endometrial data: NV = 1 only among cases."""
    rng = np.random.default_rng(seed)
    pi, eh = rng.normal(18, 10, n).round(), rng.normal(1.7, 0.7, n).round(2)
    y = (rng.random(n) < expit(4 - 0.04 * pi - 2.5 * eh)) * 1
    nv = np.where((y == 1) & (rng.random(n) < 0.5), 1, 0)
    assert 3 < nv.sum() < y.sum() < n
    return pd.DataFrame({"HG": y, "NV": nv, "PI": pi, "EH": eh})


def single(frame: ModelFrame, start: NDArray[np.float64] | None = None, **more: Any) -> Solution:
    likelihood = fixed_likelihood(frame, 1)
    return maximise(
        likelihood, np.zeros(likelihood.n_parameters) if start is None else start, **more
    )


def symptoms(frame: ModelFrame, **options: Any) -> bool:
    solution = single(frame, **options)
    return shows_symptoms(frame, fixed_likelihood(frame, 1).at_zero.hessian, estimate_of(solution))


def estimate_of(solution: Solution) -> Estimate:
    none = np.zeros(solution.psi.size, dtype=bool)
    return Estimate(solution=solution, likelihood=solution.evaluation, boundary=none)


# -- ml.separation ---------------------------------------------------------------------------


def test_quasi_complete_separation_names_coefficient_rows_and_remedy() -> None:
    data = like_endometrial()
    found = ml.separation("HG ~ NV + PI + EH", data)
    assert found.kind == "quasi-complete"
    assert found.separated
    assert found.infinite.to_dict() == {
        "(Intercept)": "finite",
        "NV": "+inf",
        "PI": "finite",
        "EH": "finite",
    }
    assert found.direction.to_dict() == {"(Intercept)": 0.0, "NV": 1.0, "PI": 0.0, "EH": 0.0}
    np.testing.assert_array_equal(found.rows, np.flatnonzero(data["NV"]))
    np.testing.assert_array_equal(found.boundary_rows, np.flatnonzero(data["NV"] == 0))
    text = str(found)
    for part in ("Quasi-complete", "NV", "+inf", f"{len(found.rows)} of 60 rows", "RelativeEnt"):
        assert part in text


def test_endometrial(reference_data: Path) -> None:
    data = reference_data / "endometrial.csv"
    found = ml.separation("HG ~ NV + PI + EH", data)
    assert found.kind == "quasi-complete"
    assert found.infinite.tolist() == ["finite", "+inf", "finite", "finite"]
    assert found.rows.size == 13
    assert found.n_rows == 79


def test_overlap_says_so() -> None:
    data = like_endometrial()
    found = ml.separation("HG ~ PI + EH", data)
    assert found.kind == "overlap"
    assert not found.separated
    assert set(found.infinite) == {"finite"}
    assert not found.direction.any()
    assert found.rows.size == 0
    assert "every maximum likelihood estimate of a coefficient is finite" in str(found)


def test_complete_separation_and_a_sign_that_is_not_unique() -> None:
    data = {"y": [0, 0, 0, 1, 1, 1], "x": [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]}
    found = ml.separation("y ~ x", data)
    assert found.kind == "complete"
    assert found.infinite.to_dict() == {"(Intercept)": "infinite, sign not unique", "x": "+inf"}
    assert found.boundary_rows.size == 0


def test_user_rows_survive_dropping_and_zero_weights() -> None:
    data = like_endometrial()
    data.loc[[0, 5], "PI"] = np.nan
    nv = np.flatnonzero(data["NV"])
    weights = np.ones(len(data))
    weights[nv[0]] = 0.0
    found = ml.separation("HG ~ NV + PI + EH", data, weights=weights)
    expected = [row for row in nv[1:] if row not in (0, 5)]
    assert found.rows.tolist() == expected
    assert found.n_rows == len(data) - 3
    assert any(d.code == "rows-dropped" for d in found.diagnostics)
    assert "were dropped" in str(found)


def test_a_row_of_weight_zero_cannot_make_the_data_overlap() -> None:
    data = {"y": [0, 0, 0, 1, 1, 1, 0], "x": [1.0, 2, 3, 4, 5, 6, 7], "w": [1.0] * 6 + [0.0]}
    assert ml.separation("y ~ x", data).kind == "overlap"
    found = ml.separation("y ~ x", data, weights="w")
    assert found.kind == "complete"
    assert found.rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_aliased_columns_are_left_out_and_named() -> None:
    data = like_endometrial().assign(PI2=lambda d: 2 * d["PI"] + 1)
    found = ml.separation("HG ~ NV + PI + PI2 + EH", data)
    assert found.aliased == ("PI2",)
    assert list(found.infinite.index) == ["(Intercept)", "NV", "PI", "EH"]
    assert found.infinite["NV"] == "+inf"
    assert "'PI2'" in str(found)


def test_aggregated_is_expanded() -> None:
    wide = pd.DataFrame({"s": [0, 2, 5, 6], "n": [5, 5, 5, 6], "x": [0.0, 1.0, 2.0, 3.0]})
    long = pd.DataFrame(
        [{"y": int(k < row.s), "x": row.x} for row in wide.itertuples() for k in range(int(row.n))]
    )
    one = ml.separation("cbind(s, n - s) ~ x", wide)
    two = ml.separation("s ~ x", wide, trials="n")
    three = ml.separation("y ~ x", long)
    assert one.kind == two.kind == three.kind == "quasi-complete"
    assert one.infinite.to_dict() == two.infinite.to_dict() == three.infinite.to_dict()
    assert one.rows.tolist() == two.rows.tolist() == [0, 2, 3]
    assert three.rows.size == 5 + 5 + 6


def test_multinomial_names_the_logits_whatever_the_baseline() -> None:
    rng = np.random.default_rng(0)
    level = np.arange(90) % 3 == 0
    choice = rng.choice(["bus", "car", "train"], size=90)
    choice[level & (choice == "train")] = "bus"
    data = pd.DataFrame({"choice": choice, "level": level * 1, "x": rng.normal(size=90)})
    found = ml.separation("choice ~ level + x", data)
    infinite = found.infinite[found.infinite != "finite"]
    assert infinite.to_dict() == {"logit[train] level": "-inf"}
    assert found.rows.size == 0  # nobody's choice is certain
    other = ml.separation("choice ~ level + x", data, baseline="train")
    assert other.infinite[other.infinite != "finite"].to_dict() == {
        "logit[bus] level": "+inf",
        "logit[car] level": "+inf",
    }


def test_an_offset_makes_no_difference() -> None:
    data = like_endometrial()
    found = ml.separation("HG ~ NV + PI", data, offset=np.linspace(-3, 3, 60))
    assert found.infinite["NV"] == "+inf"


@pytest.mark.parametrize(
    ("formula", "named"), [("HG ~ nothing", "nothing"), ("HG ~ 0 + (1 | PI)", "no fixed effects")]
)
def test_bad_input_is_one_typed_error(formula: str, named: str) -> None:
    with pytest.raises(ml.InputError, match=named):
        ml.separation(formula, like_endometrial())


def test_a_large_design_of_many_populations_is_quick() -> None:
    rng = np.random.default_rng(1)
    n = 30_000
    data = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    data["rare"] = rng.choice(["k", "l", "m"], size=n, p=[0.9, 0.0999, 0.0001])
    data.loc[0, "rare"] = "m"
    data["y"] = (rng.random(n) < expit(data["a"] - 3)) * 1
    data.loc[data["rare"] == "m", "y"] = 0
    found = ml.separation("y ~ a + b + c + d + rare", data)
    assert found.infinite[found.infinite != "finite"].to_dict() == {"rarem": "-inf"}
    assert found.rows.tolist() == np.flatnonzero(data["rare"] == "m").tolist()


# -- random effects --------------------------------------------------------------------------


def clustered(groups: int = 12, size: int = 10, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=g.size)
    y = (rng.random(g.size) < expit(x + rng.normal(size=groups)[g])) * 1
    return pd.DataFrame({"y": y, "x": x, "g": g})


def test_with_random_effects_the_fixed_effects_are_judged() -> None:
    data = clustered().assign(sure=lambda d: (d["y"] == 1) & (d["x"] > 1))
    found = ml.separation("y ~ x + sure + (1 | g)", data)
    assert found.kind == "quasi-complete"
    assert found.infinite.filter(like="sure").tolist() == ["+inf"]
    assert ml.separation("y ~ x + (1 | g)", data).diagnostics == ()


def test_a_warning_where_fixed_and_random_effects_predict_every_row() -> None:
    # All responses of a group are equal: X overlaps, and so does nothing else.
    data = clustered().assign(y=lambda d: d["g"] % 2)
    found = ml.separation("y ~ x + (1 | g)", data)
    assert found.kind == "overlap"
    assert [d.code for d in found.diagnostics] == ["joint-separation"]
    assert "'g'" in str(found)
    data.loc[0, "y"] = 1 - data.loc[0, "y"]
    data.loc[1, "x"] = data.loc[0, "x"]  # one group: equal rows, opposite outcomes
    assert ml.separation("y ~ x + (1 | g)", data).diagnostics == ()


def test_joint_separation_needs_one_direction_for_all_groups() -> None:
    g = np.repeat(np.arange(3, dtype=np.int32), 4)
    x = np.tile([0.0, 1.0, 2.0, 3.0], 3) + np.repeat([0.0, 10.0, -5.0], 4)
    one = [np.ones(12)]
    same = np.tile([0.0, 0.0, 1.0, 1.0], 3)  # x separates within each group, at its own point
    assert jointly_separated([*one, x], [(one, g)], same, np.ones(12)) is True
    mixed = np.concatenate([same[:8], 1 - same[8:]])  # in the last one the other way round
    assert jointly_separated([*one, x], [(one, g)], mixed, np.ones(12)) is False
    assert jointly_separated([*one, x], [([*one, x], g)], mixed, np.ones(12)) is True


def test_joint_separation_of_more_groups_than_one_program_looks_at() -> None:
    groups, size = 6_000, 2
    g = np.repeat(np.arange(groups, dtype=np.int32), size)
    x = np.tile([0.0, 1.0], groups)
    one = [np.ones(g.size)]
    y = np.repeat(np.arange(groups) % 2, size).astype(float)
    assert jointly_separated([*one, x], [(one, g)], y, np.ones(g.size)) is None
    y[:4] = [0.0, 1.0, 1.0, 0.0]
    assert jointly_separated([*one, x], [(one, g)], y, np.ones(g.size)) is False


# -- fits that suffer from it ----------------------------------------------------------------


def test_a_diverging_fit_is_explained() -> None:
    frame, _ = build_frame("HG ~ NV + PI + EH", like_endometrial())
    solution = single(frame)
    assert solution.status is Status.DIVERGING
    assert symptoms(frame)
    (found,) = explain_divergence(frame, solution.psi)
    assert (found.code, found.severity) == ("separation", "error")
    assert found.facts["kind"] == "quasi-complete"
    assert found.facts["infinite"] == {"NV": "+inf"}
    assert found.facts["observations"] == 60
    assert "'NV' (+inf)" in found.message
    assert "prior=ml.RelativeEntropy()" in found.remedy
    assert "freeze" in found.remedy
    (collapsed,) = explain_divergence(collapse(frame)[0], solution.psi)
    assert collapsed.message == found.message


@pytest.mark.parametrize("tolerance", [1e-3, 1e-1, 0.3])
def test_a_separated_fit_that_stops_early_shows_symptoms(tolerance: float) -> None:
    # Whoever asks for less accuracy may get "converged": the information gives it away.
    frame, _ = build_frame("HG ~ NV + PI + EH", like_endometrial())
    options = {"tolerance": tolerance, "gradient_tolerance": 10.0}
    solution = single(frame, **options)
    assert solution.status is (Status.CONVERGED if tolerance == 0.3 else Status.DIVERGING)
    assert symptoms(frame, **options)
    (found,) = explain_divergence(frame, solution.psi)
    assert found.facts["infinite"] == {"NV": "+inf"}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_healthy_fit_shows_none_whatever_the_units(scale: float) -> None:
    data = like_endometrial(200).assign(year=lambda d: scale * (2000 + d["PI"]))
    assert not symptoms(build_frame("HG ~ year + EH", data)[0])
    rng = np.random.default_rng(3)
    rare = pd.DataFrame({"x": rng.normal(size=20_000) * scale})
    rare["y"] = (rng.random(20_000) < expit(-7 + rare["x"] / scale)) * 1
    assert 5 < rare["y"].sum() < 80
    assert not symptoms(build_frame("y ~ x", rare)[0])


def test_multinomial_symptoms() -> None:
    rng = np.random.default_rng(0)
    level = np.arange(90) % 3 == 0
    data = pd.DataFrame({"y": rng.choice(list("abc"), size=90), "level": level * 1})
    assert not symptoms(build_frame("y ~ level", data)[0])
    data.loc[level & (data["y"] == "c"), "y"] = "a"
    frame, _ = build_frame("y ~ level", data)
    assert symptoms(frame)
    (found,) = explain_divergence(frame)
    assert found.facts["infinite"] == {"logit[c] level": "-inf"}


def test_an_unconverged_fit_of_overlapping_data_is_not_blamed_on_separation() -> None:
    frame, _ = build_frame("HG ~ PI + EH", like_endometrial())
    solution = single(frame, max_iterations=1)
    assert solution.status is Status.MAX_ITERATIONS
    assert symptoms(frame, max_iterations=1)
    assert explain_divergence(frame, solution.psi) == ()
    assert explain_divergence(frame) == ()


def test_an_interrupted_fit_is_left_alone() -> None:
    frame, _ = build_frame("HG ~ NV + PI + EH", like_endometrial())
    at_zero = fixed_likelihood(frame, 1).at_zero.hessian
    solution = replace(single(frame, max_iterations=3), status=Status.INTERRUPTED)
    assert check_fit(frame, at_zero, estimate_of(solution)) == ()
    stopped = replace(solution, status=Status.MAX_ITERATIONS)
    assert check_fit(frame, at_zero, estimate_of(stopped)) != ()


def test_a_search_that_starts_at_its_end_is_judged_by_its_information() -> None:
    # No step was taken that could tell.
    healthy, _ = build_frame("HG ~ PI + EH", like_endometrial())
    again = single(healthy, start=single(healthy).psi)
    assert len(again.trace) == 1
    at_zero = fixed_likelihood(healthy, 1).at_zero.hessian
    assert not shows_symptoms(healthy, at_zero, estimate_of(again))
    separated, _ = build_frame("HG ~ NV + PI + EH", like_endometrial())
    far = single(separated)
    claimed = replace(far, status=Status.CONVERGED, trace=far.trace[-1:])
    at_zero = fixed_likelihood(separated, 1).at_zero.hessian
    assert shows_symptoms(separated, at_zero, estimate_of(claimed))


@pytest.mark.parametrize("n", [60, 6_000])
def test_one_separated_row_of_many_shows_in_the_last_step(n: int) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=n), "only": (np.arange(n) == 3) * 1})
    data["y"] = (rng.random(n) < expit(data["x"])) * 1
    data.loc[3, "y"] = 1
    frame, _ = build_frame("y ~ x + only", data)
    solution = replace(single(frame), status=Status.CONVERGED)
    at_zero = fixed_likelihood(frame, 1).at_zero.hessian
    (found,) = check_fit(frame, at_zero, estimate_of(solution))
    assert found.facts["infinite"] == {"only": "+inf"}
    assert found.facts["separated"] == 1


def test_infinite_logits_of_a_category_diverge_whatever_stays_finite_beside_them() -> None:
    # Level p has category c alone, the other levels never: the information of its logit dies.
    rng = np.random.default_rng(0)
    f = rng.choice(["p", "q", "r"], 300)
    y = np.where(f == "p", "c", rng.choice(["a", "b"], 300))
    fit = ml.fit("y ~ x + f", {"y": y, "f": f, "x": rng.normal(size=300)})
    assert fit.status is Status.DIVERGING
    assert [d.code for d in fit.diagnostics] == ["separation"]
    ends = fit.confint("profile")
    assert ends.loc["logit[c] fq", "lower"] == -np.inf
    assert np.isfinite(ends.loc["logit[b] x"]).all()


def test_a_diverging_multilevel_fit_is_explained() -> None:
    data = clustered().assign(sure=lambda d: ((d["y"] == 1) & (d["x"] > 1)) * 1)
    frame, _ = build_frame("y ~ x + sure + (1 | g)", data)
    (found,) = explain_divergence(frame)
    assert found.facts["infinite"] == {"sure": "+inf"}
    assert "freeze" not in found.remedy
    data["y"] = data["g"] % 2
    (joint,) = explain_divergence(build_frame("y ~ x + (1 | g)", data)[0])
    assert (joint.code, joint.severity) == ("joint-separation", "warning")


@pytest.mark.parametrize("random", ["(1 | g)", "(1 + x | g)"])
def test_a_multilevel_fit_is_checked_where_it_diverges_and_only_there(random: str) -> None:
    data = clustered().assign(sure=lambda d: ((d["y"] == 1) & (d["x"] > 1)) * 1)
    codes = {}
    for terms in ("x", "x + sure"):
        frame, _ = build_frame(f"y ~ {terms} + {random}", data)
        fixed = fixed_likelihood(frame, 1)
        estimate = estimate_mixed(frame, fixed, Options())
        found = check_fit(frame, fixed.at_zero.hessian, estimate)
        codes[terms] = estimate.solution.converged, [d.code for d in found]
    assert codes == {"x": (True, []), "x + sure": (False, ["separation"])}


def test_the_diagnostic_of_a_frozen_fit_is_a_warning() -> None:
    frame, _ = build_frame("HG ~ NV + PI + EH", like_endometrial())
    response = frame.response
    recession = find_separation(frame.fixed.columns, response.counts, response.trials)
    found = separation_diagnostic(frame, recession)
    assert (found.code, found.severity) == ("separation", "warning")
    assert found.facts["infinite"] == {"NV": "+inf"}


# -- the command -----------------------------------------------------------------------------


def run(*arguments: object) -> Any:
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from multilogit.cli.commands import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "data.csv"
    like_endometrial().to_csv(file, index=False)
    return file


def test_command_prints_the_finding_and_exits_with_one_where_separated(path: Path) -> None:
    result = run("separation", path, "HG ~ NV + PI + EH")
    assert result.exit_code == 1
    assert result.stdout == ml.separation("HG ~ NV + PI + EH", path).summary() + "\n"


def test_command_exits_with_zero_where_the_data_overlap(path: Path) -> None:
    assert run("separation", path, "HG ~ PI + EH").exit_code == 0


def test_command_prints_json(path: Path) -> None:
    result = run("separation", path, "HG ~ NV + PI + EH", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["kind"] == "quasi-complete"
    assert document["infinite"]["NV"] == "+inf"
    assert document["direction"]["NV"] == 1.0
    assert len(document["rows"]) + len(document["boundary_rows"]) == 60


@pytest.mark.parametrize(
    "arguments", [("{path}", "HG ~ z"), ("{path}.no", "HG ~ PI"), ("{path}", "HG ~ (")]
)
def test_command_exits_with_two_on_bad_input(path: Path, arguments: tuple[str, str]) -> None:
    result = run("separation", *(a.format(path=path) for a in arguments))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr


# -- variances that run off --------------------------------------------------------------------


def joint(fit: ml.Fit) -> list[tuple[str, str]]:
    codes = ("joint-separation", "large-variance")
    return [(d.code, d.severity) for d in fit.diagnostics if d.code in codes]


def test_groups_that_are_all_one_or_all_zero_are_not_converged() -> None:
    # the likelihood rises to 2^-20 as σ → ∞; Laplace's approximation has a maximum at σ = 69
    g = np.repeat(np.arange(20), 10)
    data = {"y": g % 2, "g": g, "h": np.tile(np.arange(10), 20)}
    fit = ml.fit("y ~ (1 | g)", data)
    assert fit.solution.converged
    assert not fit.converged
    assert joint(fit) == [("joint-separation", "error")]
    (found,) = [d for d in fit.diagnostics if d.severity == "error"]
    assert found.facts["groups"] == ["g"]
    assert found.facts["sd"] == pytest.approx([fit.theta.iloc[0]])
    assert "each level of 'g' has one outcome only" in found.message
    assert "one row per level" in found.remedy
    assert "RelativeEntropy" in found.remedy
    crossed = ml.fit("y ~ (1 | g) + (1 | h)", data)
    assert not crossed.converged
    assert joint(crossed) == [("joint-separation", "error")]
    assert ml.fit("y ~ (1 | g)", data, prior=ml.RelativeEntropy()).converged


def test_grouping_by_the_response_is_not_converged() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 200)
    fit = ml.fit("a ~ x + (1 | g)", {"a": a, "x": rng.normal(size=200), "g": a.astype(str)})
    assert not fit.converged
    assert joint(fit) == [("joint-separation", "error")]
    (found,) = [d for d in fit.diagnostics if d.severity == "error"]
    assert found.remedy == "'g' is the response by another name: leave it out."


def test_a_large_variance_of_overlapping_data_converges(
    monkeypatch: pytest.MonkeyPatch, reference_data: Path
) -> None:
    # culcita without row 20: σ = 21, but no direction predicts every row
    data = pd.read_csv(reference_data / "culcita.csv").drop(index=19)
    fit = ml.fit("predation ~ ttt + (1 | block)", data)
    assert fit.theta.iloc[0] > 20
    assert fit.converged
    assert joint(fit) == []
    # where nobody knows, that is said
    monkeypatch.setattr("multilogit.divergence.joint.jointly_separated", lambda *_: None)
    fit = ml.fit("predation ~ ttt + (1 | block)", data)
    assert fit.converged
    assert joint(fit) == [("large-variance", "warning")]


def test_the_units_of_z_do_not_make_a_variance_large(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clustered(groups=30, size=20)
    data["tiny"] = data["x"] * 1e-3
    asked = []
    monkeypatch.setattr("multilogit.divergence.joint.jointly_separated", lambda *a: asked.append(a))
    fit = ml.fit("y ~ tiny + (0 + tiny | g)", data)
    assert fit.theta.iloc[0] > 10
    assert not asked


def test_joint_separation_by_two_factors() -> None:
    one, n = [np.ones(16)], np.ones(16)
    g, h = (codes.astype(np.int32) for codes in np.divmod(np.arange(16), 4))
    rasch = (h >= g).astype(float)  # a Guttman scale: u_g + v_h predicts it, neither alone does
    assert jointly_separated(one, [(one, g), (one, h)], rasch, n) is True
    assert jointly_separated(one, [(one, g)], rasch, n) is False
    assert jointly_separated(one, [(one, h)], rasch, n) is False
    checker = ((g + h) % 2).astype(float)
    assert jointly_separated(one, [(one, g), (one, h)], checker, n) is False


# -- several categories with random effects ---------------------------------------------------


def test_joint_separation_with_categories() -> None:
    one, n = [np.ones(9)], np.ones(9)
    g = np.repeat(np.arange(3, dtype=np.int32), 3)
    own = np.eye(3)[g][:, 1:]  # every group has a category of its own
    assert jointly_separated(one, [(one, g)], own, n) is True
    mixed = own.copy()
    mixed[0] = [0.0, 1.0]  # two categories at one point of group 0
    assert jointly_separated(one, [(one, g)], mixed, n) is False
    slope = [*one, np.tile([-1.0, 0.0, 1.0], 3)]  # within groups: a predictor tells them apart
    along = np.tile(np.eye(3)[:, 1:], (3, 1))
    assert jointly_separated(one, [(one, g)], along, n) is False
    assert jointly_separated(slope, [(slope, g)], along, n) is True
    assert jointly_separated(slope, [(one, g)], np.array(along[:, ::-1]), n) is True
    both = along + np.eye(3)[np.tile([1, 1, 1], 3)][:, 1:]
    assert jointly_separated(slope, [(slope, g)], both, 2.0 * n) is False


@pytest.mark.parametrize("n_logits", [1, 2])
def test_rows_of_several_trials_tie_their_categories(n_logits: int) -> None:
    # Only x can tell rows 1 and 2 of the group apart; row 0, without random effect, says whether
    # it may.
    z, x = np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0, -1.0])
    g, trials = np.zeros(3, dtype=np.int32), np.array([2.0, 1.0, 1.0])
    counts = np.zeros((3, n_logits))
    counts[:, 0] = [2.0, 1.0, 0.0]
    assert jointly_separated([x], [([z], g)], counts, trials) is True
    counts[0, 0] = 1.0
    assert jointly_separated([x], [([z], g)], counts, trials) is False


def test_the_category_that_is_told_apart_is_named() -> None:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), 8)
    y = np.where(g < 4, "away", rng.choice(["bus", "car"], g.size))
    frame, _ = build_frame("y ~ 1 + (1 | g)", {"y": y, "g": g})
    (joint,) = explain_divergence(frame)
    assert joint.code == "joint-separation"
    assert "predict which rows are 'away' without error" in joint.message


def test_a_set_of_categories_that_is_told_apart_is_named() -> None:
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(16), 8)
    some, other = rng.choice(["bus", "car"], g.size), rng.choice(["walk", "bike"], g.size)
    frame, _ = build_frame("y ~ 1 + (1 | g)", {"y": np.where(g < 8, some, other), "g": g})
    (joint,) = explain_divergence(frame)
    assert "predict which rows are 'bike' or 'walk' without error" in joint.message
