"""A model from a file is the fit that was saved, without its data."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.errors import DataNotSavedError, OptionError
from multilogit.evaluation import Evaluation
from multilogit.result.arrays.aliasing import aliasing_of
from multilogit.result.fields.training import TrainingRecord
from multilogit.result.persistence.record import fields_of, record_of


def table(n: int = 240, seed: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 12, n), rng.integers(0, 5, n)
    x, t = rng.normal(size=n), rng.uniform(1.0, 3.0, n)
    eta = 0.5 * x - 0.4 * (t - 2.0) + rng.normal(size=12)[g] + 0.5 * rng.normal(size=5)[h]
    return pd.DataFrame(
        {
            "y": rng.random(n) < 1.0 / (1.0 + np.exp(-eta)),
            "count": rng.binomial(4, 1.0 / (1.0 + np.exp(-eta))),
            "size": 4,
            "color": rng.choice(["red", "green", "blue"], n),
            "x": x,
            "t": t,
            "kind": rng.choice(["a", "b", "c"], n),
            "yes": rng.random(n) < 0.5,
            "g": np.array([f"g{k}" for k in g]),
            "h": h,
            "Größe β": rng.normal(size=n),
            "w": rng.integers(1, 3, n),
        }
    )


class Mine:
    """A prior of the user's own, which does nothing."""

    def __init__(self, size: int) -> None:
        self.size = size

    def evaluate(self, psi: np.ndarray) -> Evaluation:
        return Evaluation(0.0, np.zeros(self.size), np.zeros((self.size, self.size)))


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "single": ("y ~ x + kind * yes", {}),
    "aliased": ("y ~ x + I(2 * x) + t", {}),
    "transforms": (
        "y ~ scale(x) + poly(t, 2) + bs(x, df=4) + cr(t, df=4) + center(log(t)) + I(x > 0)",
        {},
    ),
    "contrasts": ("y ~ C(kind, contr.sum) + relevel(kind, 'b'):x + factor(h)", {}),
    "quoted": ("y ~ `Größe β` + (1 | g)", {}),
    "everything": ("y ~ x + t - size - count - color + . - w - `Größe β` - h - g", {}),
    "multinomial": ("color ~ x + kind", {"baseline": "red"}),
    "multilevel multinomial": ("color ~ x + (1 + x || g)", {"prior": ml.RelativeEntropy()}),
    "crossed multinomial": ("color ~ x + (1 | g) + (1 | h)", {"prior": ml.RelativeEntropy()}),
    "aggregated": ("count ~ x + (1 | g)", {"trials": "size"}),
    "weights": ("y ~ x + (1 | g)", {"weights": np.arange(240) % 3, "offset": np.zeros(240)}),
    "offset": ("y ~ x + offset(0.1 * t)", {"offset": "Größe β"}),
    "slopes": ("y ~ x + (1 + x | g)", {}),
    "independent": ("y ~ x + (1 + x || g)", {}),
    "nodes": ("y ~ x + (1 | g)", {"nodes": 7, "starts": 2}),
    "nested": ("y ~ x + (1 | h / g)", {}),
    "crossed": ("y ~ x + (1 | g) + (1 | h)", {"start": "zero"}),
    "start": ("y ~ x", {"start": np.array([0.1, 0.2])}),
    "entropy": ("y ~ x + (1 | g)", {"prior": ml.RelativeEntropy(reference=(0.3, 0.7))}),
    "evidence": ("y ~ x + kind", {"prior": ml.RelativeEntropy(strength="auto")}),
    "sum": (
        "y ~ x + (1 + x | g)",
        {"prior": ml.Normal({"x": 2.0}, mean={"x": 0.1}, intercept=False) + ml.Wishart()},
    ),
    "soft": ("y ~ x + (1 | g)", {"prior": ml.SoftPenalty()}),
    "student": ("y ~ x", {"prior": ml.StudentT(3.0, scale=[2.0, np.inf])}),
    "own": ("y ~ x", {"prior": Mine(2)}),
    "own in a sum": ("y ~ x", {"prior": ml.Jeffreys() + Mine(2)}),
    "frozen": ("y ~ I(1.0 * y) + x", {"infinite": "freeze"}),
    "separated": ("y ~ I(1.0 * y) + x", {}),
    "not converged": ("y ~ x + (1 | g)", {"max_iterations": 1}),
}


def fitted(name: str) -> ml.Fit:
    formula, options = MODELS[name]
    return ml.fit(formula, table(), threads=1, **options)


def saved(fit: ml.Fit, directory: Path) -> ml.Fit:
    fit.save(directory / "fit.json")
    return ml.load(directory / "fit.json")


def assert_same(a: Any, b: Any, place: str = "fit") -> None:
    """Equal to the last bit, through all dataclasses; lists and tuples are the same."""
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{place}.{field.name}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, place
        np.testing.assert_array_equal(a, b, err_msg=place, strict=True)
        if a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b), err_msg=place)
    elif isinstance(a, dict):
        assert list(a) == list(b), place
        for key in a:
            assert_same(a[key], b[key], f"{place}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), place
        for k, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{place}[{k}]")
    elif isinstance(a, float) and a != a:
        assert b != b, place
    else:
        assert a == b or repr(a) == repr(b), place


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_fit_is_the_fit(name: str, tmp_path: Path) -> None:
    fit = fitted(name)
    again = saved(fit, tmp_path)
    assert isinstance(again, ml.Fit)
    assert not again.has_data
    same = {"training": TrainingRecord.of(fit.training)}
    same["options"] = dataclasses.replace(again.options, threads=1, callback=None)  # type: ignore[assignment]
    options = {"weights", "offset", "trials"}  # arrays are data
    kept = {k: v for k, v in fit.spec.options.items() if k not in options or isinstance(v, str)}
    same["modes"] = fit.mode_uncertainty if fit.random else None  # type: ignore[assignment]
    aliasing = aliasing_of(fit)
    same["relation"] = None if aliasing is None else aliasing.known  # type: ignore[assignment]
    same["spec"] = dataclasses.replace(fit.spec, options=kept)  # type: ignore[assignment]
    back = {k: v for k, v in again.spec.options.items() if k not in options or isinstance(v, str)}
    assert_same(
        dataclasses.replace(fit, **same),
        dataclasses.replace(again, spec=dataclasses.replace(again.spec, options=back)),
    )
    assert_same(fit.options, dataclasses.replace(again.options, threads=1, callback=None))


@pytest.mark.parametrize("name", MODELS)
def test_it_shows_and_predicts_the_same(name: str, tmp_path: Path) -> None:
    fit = fitted(name)
    again = saved(fit, tmp_path)
    assert str(again.summary()) == str(fit.summary())
    assert again._repr_html_() == fit._repr_html_()
    assert repr(again) == repr(fit)
    for of in ("tidy", "glance", "random_effects", "confint"):
        pd.testing.assert_frame_equal(getattr(again, of)(), getattr(fit, of)(), check_exact=True)
    for of in ("vcov", "variance_components", "trace"):
        pd.testing.assert_frame_equal(getattr(again, of), getattr(fit, of), check_exact=True)
    new = table(50, seed=7)
    new.loc[3, "x"] = np.nan
    offset = np.linspace(0.0, 1.0, 50) if name == "weights" else None
    for kind in ("response", "link", "class"):
        for level in ("conditional", "population"):
            options: dict[str, Any] = {"kind": kind, "level": level, "offset": offset}
            options["new_groups"] = "population"
            expected = fit.predict(new, **options)
            assert expected.equals(again.predict(new, **options))
    for level in ("conditional", "population", "marginal") if fit.converged else ():
        options = {"level": level, "offset": offset, "new_groups": "population", "se": True}
        assert fit.predict(new, **options).equals(again.predict(new, **options))


def test_new_groups_and_levels_are_still_told_apart(tmp_path: Path) -> None:
    again = saved(fitted("nested"), tmp_path)
    new = table(5).assign(h=99)
    with pytest.raises(ml.DataError, match="'99'"):
        again.predict(new)
    assert again.predict(new, new_groups="population").notna().all()
    with pytest.raises(ml.DataError, match="'z'"):
        saved(fitted("single"), tmp_path).predict(table(5).assign(kind="z"))


def test_every_field_of_a_fit_is_saved() -> None:
    fit = fitted("single")
    assert set(fields_of(record_of(fit))) == {field.name for field in dataclasses.fields(ml.Fit)}


def test_a_model_is_saved_without_data(tmp_path: Path) -> None:
    marked = table().assign(x=np.arange(240) + 0.123456789)
    ml.fit("y ~ x + (1 | g)", marked, weights=np.arange(240) + 1000).save(tmp_path / "fit.json")
    text = (tmp_path / "fit.json").read_text(encoding="utf-8")
    assert ".123456789" not in text
    assert '{"left out": 240}' in text
    small = len(text)
    ml.fit("y ~ x + (1 | g)", pd.concat([marked] * 20)).save(tmp_path / "fit.json")
    assert (tmp_path / "fit.json").stat().st_size < small + 1000


def test_what_needs_the_data_says_so(tmp_path: Path) -> None:
    again = saved(fitted("slopes"), tmp_path)
    with pytest.raises(DataNotSavedError, match=r"prediction without new data.*Pass new data"):
        again.predict()
    with pytest.raises(DataNotSavedError, match=r"posterior_sample\(\).*fit the model again"):
        again.posterior_sample(10)
    for needs in (ml.Refitter, lambda fit: fit.frame):
        with pytest.raises(DataNotSavedError, match="a saved model does not contain"):
            needs(again)


def test_a_prior_of_one_s_own_is_shown_and_not_evaluated(tmp_path: Path) -> None:
    fit = fitted("own")
    again = saved(fit, tmp_path)
    assert repr(again.options.prior) == repr(fit.options.prior)
    assert "a file cannot restore" in (tmp_path / "fit.json").read_text(encoding="utf-8")
    with pytest.raises(OptionError, match="of the user's own"):
        again.options.prior.evaluate(np.zeros(2))  # type: ignore[union-attr]


def test_saving_twice_gives_the_same_file(tmp_path: Path) -> None:
    fit = fitted("slopes")
    again = saved(fit, tmp_path)
    first = (tmp_path / "fit.json").read_bytes()
    again.save(tmp_path / "fit.json")
    assert (tmp_path / "fit.json").read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    fit = fitted("single")
    with pytest.raises(ml.InputError, match=r"Cannot write .*nowhere.*No such file"):
        fit.save(tmp_path / "nowhere" / "fit.json")
    fit.save(tmp_path / "link.json")
    (tmp_path / "other.json").symlink_to(tmp_path / "link.json")
    fit.save(tmp_path / "other.json")
    assert (tmp_path / "other.json").is_symlink()


def test_effects_and_contrasts_of_new_data_are_the_same(tmp_path: Path) -> None:
    fit = fitted("single")
    again, new = saved(fit, tmp_path), table(40, seed=3)
    for of in (
        lambda f: f.marginal_effects(new=new),
        lambda f: f.contrasts("kind", new=new),
        lambda f: f.adjusted_predictions(at={"kind": ["a", "b"]}, new=new),
        lambda f: f.simulate(3, seed=1, new=new),
        lambda f: f.test_terms(),
        lambda f: f.odds_ratios(),
    ):
        pd.testing.assert_frame_equal(of(again), of(fit), check_exact=True)


def test_a_robust_covariance_is_saved(tmp_path: Path) -> None:
    fit = fitted("aggregated").with_vcov("cluster")
    again = saved(fit, tmp_path)
    pd.testing.assert_series_equal(again.se, fit.se, check_exact=True)
    assert str(again.summary()) == str(fit.summary())


METHODS = [
    name
    for name, _ in inspect.getmembers(ml.Fit, inspect.isfunction)
    if not name.startswith("_") and name not in ("save", "report")
]
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "contrasts": ("kind",),
    "test": ("x = 0",),
    "vcov_of": (["x"],),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("model", ["single", "slopes"])
def test_every_method_works_or_asks_for_data(name: str, model: str, tmp_path: Path) -> None:
    again = saved(fitted(model), tmp_path)
    with contextlib.suppress(ml.DataNotSavedError, OptionError):
        assert getattr(again, name)(*ARGUMENTS.get(name, ())) is not None
