"""Data sets of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtri, stdtrit

from multilogit.evaluation import Matrix, Vector
from multilogit.study.designs import Cell, Covariate, StudyError
from multilogit.study.prior_draws import draw_prior
from multilogit.study.rows import FixedRows, load_rows
from multilogit.study.seeds import generator
from multilogit.study.truth import Layout

_CALIBRATION_ROWS = 100_000
_REDRAWS = 1000
_T_DF, _BIMODAL = 3.0, 0.9


@dataclass(frozen=True, slots=True)
class Dataset:
    """One simulated data set and what it was drawn from.

    Attributes
    ----------
    formula
        Of the model.
    frame
        Columns ``y``, the covariates, and ``g`` (0 … G − 1).
    X
        Shape ``(n, p)``, intercept first.
    Z
        Shape ``(n, q)``: the columns of X whose coefficients vary; q = 0 without random effects.
    truth
        True parameters, in the order of ``layout``.
    layout
        Names of the parameters.
    effects
        Distribution of the random effects.
    """

    formula: str
    frame: pd.DataFrame
    X: Matrix
    Z: Matrix
    truth: Vector
    layout: Layout
    effects: str = "normal"

    @property
    def y(self) -> Vector:
        """Responses, shape ``(n,)``."""
        return np.asarray(self.frame["y"], dtype=np.float64)

    @property
    def codes(self) -> NDArray[np.int32]:
        """Groups, shape ``(n,)``, in 0 … G − 1."""
        return np.asarray(self.frame["g"], dtype=np.int32)


class Simulator:
    """Draws data sets of one cell.

    Parameters
    ----------
    design
        Name of the design, for the seeds.
    cell
        The data-generating mechanism.
    """

    def __init__(self, design: str, cell: Cell) -> None:
        self.design = design
        self.cell = cell
        self.given: FixedRows | None = None if cell.rows is None else load_rows(cell.rows)
        self.names = (
            tuple(covariate.name for covariate in cell.covariates)
            if self.given is None
            else self.given.names
        )
        effects = ("(Intercept)", *cell.slopes) if cell.sd else ()
        self.layout = Layout(("(Intercept)", *self.names), effects)
        self.codes = self._codes(cell.groups)
        self._common = self._rng(0, "covariates").bit_generator.state
        self.truth = self._truth()

    def draw(self, replicate: int) -> Dataset:
        """The data of a replicate: a function of design, cell and number alone."""
        rng = self._rng(replicate, "data")
        if self.given is not None:
            columns, codes = self.given.columns, self.given.codes
        else:
            codes = self.codes
            columns = self._varying_columns(self._covariate_rng(rng), codes)
        X = _with_intercept(columns)
        truth = self.truth
        if self.cell.truth == "prior":
            truth = draw_prior(rng, X, self.layout, self.cell.prior_scale)
        return self._responses(rng, X, codes, truth)

    def fresh(self, replicate: int, groups: int, truth: Vector) -> Dataset:
        """Data of new groups from a truth, to score predictions on."""
        rng = self._rng(replicate, "fresh")
        if self.given is not None:
            codes, columns = self.given.codes, self.given.columns
            copies = max(1, groups // self.given.n_groups)
            codes = np.concatenate([codes + k * self.given.n_groups for k in range(copies)])
            columns = np.tile(columns, (copies, 1))
        else:
            codes = self._codes(groups)
            columns = self._columns(rng, codes)
        return self._responses(rng, _with_intercept(columns), codes, truth)

    def _rng(self, replicate: int, purpose: str) -> np.random.Generator:
        return generator(self.design, self.cell.name, replicate, purpose)

    def _covariate_rng(self, rng: np.random.Generator) -> np.random.Generator:
        if not self.cell.fixed:
            return rng
        common = self._rng(0, "covariates")
        common.bit_generator.state = self._common
        return common

    def _codes(self, groups: int) -> NDArray[np.int32]:
        """Group of every row. Sizes are quantiles: the same in all replicates."""
        sizes = np.full(groups, self.cell.group_size)
        if self.cell.sizes == "skewed":
            raw = np.exp(ndtri((np.arange(groups) + 0.5) / groups))
            shares = np.cumsum(raw) / raw.sum()
            ends = np.rint(shares * (self.cell.group_size - 1) * groups).astype(int)
            sizes = 1 + np.diff(ends, prepend=0)
        return np.repeat(np.arange(groups, dtype=np.int32), sizes)

    def _varying_columns(self, rng: np.random.Generator, codes: NDArray[np.int32]) -> Matrix:
        """Covariates, drawn again where one is constant: its coefficient would have no estimate."""
        for _ in range(_REDRAWS):
            columns = self._columns(rng, codes)
            if (np.ptp(columns, axis=0) > 0.0).all():
                return columns
        raise StudyError(f"cell {self.cell.name!r}: a covariate is constant in all data sets.")

    def _columns(self, rng: np.random.Generator, codes: NDArray[np.int32]) -> Matrix:
        made = [_covariate(rng, covariate, codes) for covariate in self.cell.covariates]
        return np.column_stack(made) if made else np.empty((codes.size, 0))

    def _truth(self) -> Vector:
        q = len(self.layout.effects)
        cors = np.full(len(self.layout.pairs), self.cell.correlation)
        slopes = np.array([covariate.beta for covariate in self.cell.covariates])
        sd = np.array(self.cell.sd)
        if self.cell.truth == "prior":
            return np.full(self.layout.size, np.nan)
        if self.given is not None:
            return np.concatenate([self._given_beta(self.given), sd, cors])
        intercept = self.cell.intercept
        truth = np.concatenate([[0.0 if intercept is None else intercept], slopes, sd, cors])
        if intercept is None:
            truth[0] = self._solved_intercept(truth, q)
        return truth

    def _given_beta(self, rows: FixedRows) -> Vector:
        """Coefficients of fixed rows: the design's, or with ``truth = "fit"`` the rows' own."""
        if self.cell.truth == "fit":
            if rows.beta is None:
                raise StudyError(f"rows = {self.cell.rows!r} have no fit of their own: give beta.")
            return rows.beta
        if set(self.cell.beta) != set(self.layout.beta):
            needed = ", ".join(map(repr, self.layout.beta))
            raise StudyError(f"cell {self.cell.name!r}: beta needs the keys {needed}.")
        return np.array([self.cell.beta[name] for name in self.layout.beta])

    def _solved_intercept(self, truth: Vector, q: int) -> float:
        """The intercept that gives the marginal prevalence, by bisection on simulated rows."""
        rng = self._rng(0, "prevalence")
        codes = np.arange(_CALIBRATION_ROWS, dtype=np.int32)
        X = _with_intercept(self._columns(rng, codes))
        eta = X @ self.layout.split(truth)[0]
        if q:
            b = self._effects(rng, truth, codes.size)
            eta = eta + np.einsum("ia,ia->i", X[:, self._varying], b)
        low, high = -60.0, 60.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            if expit(middle + eta).mean() < self.cell.prevalence:
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)

    @property
    def _varying(self) -> list[int]:
        return [self.layout.beta.index(name) for name in self.layout.effects]

    def _effects(self, rng: np.random.Generator, truth: Vector, groups: int) -> Matrix:
        """b, shape ``(groups, q)``: standardised draws of the cell's distribution, then Λ."""
        q = len(self.layout.effects)
        psi = self.layout.psi(truth)
        Lambda = np.zeros((q, q))
        Lambda.T[np.triu_indices(q)] = psi[len(self.layout.beta) :]
        u = standardised_effects(rng, self.cell.effects, (groups, q))
        return np.asarray(u @ Lambda.T)

    def _responses(
        self, rng: np.random.Generator, X: Matrix, codes: NDArray[np.int32], truth: Vector
    ) -> Dataset:
        eta = X @ self.layout.split(truth)[0]
        Z = X[:, self._varying]
        if self.layout.effects:
            b = self._effects(rng, truth, int(codes.max()) + 1)
            eta = eta + np.einsum("ia,ia->i", Z, b[codes])
        y = (rng.uniform(size=eta.size) < expit(eta)).astype(np.float64)
        columns = {name: X[:, k + 1] for k, name in enumerate(self.names)}
        frame = pd.DataFrame({"y": y, **columns, "g": codes})
        formula = formula_of(self.names, self.layout)
        return Dataset(formula, frame, X, Z, truth, self.layout, self.cell.effects)


def formula_of(names: tuple[str, ...], layout: Layout) -> str:
    """The formula of the model, random effects correlated."""
    fixed = " + ".join(["1", *names])
    if not layout.effects:
        return f"y ~ {fixed}"
    return f"y ~ {fixed} + ({' + '.join(['1', *layout.effects[1:]])} | g)"


def standardised_effects(
    rng: np.random.Generator, kind: str, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Random effects with mean 0 and variance 1."""
    if kind == "t":
        return np.asarray(rng.standard_t(_T_DF, shape) / np.sqrt(_T_DF / (_T_DF - 2.0)))
    if kind == "skewed":
        return np.asarray(rng.exponential(size=shape) - 1.0)
    if kind == "bimodal":
        side = np.where(rng.uniform(size=shape) < 0.5, -_BIMODAL, _BIMODAL)
        return np.asarray(side + np.sqrt(1.0 - _BIMODAL**2) * rng.standard_normal(shape))
    return rng.standard_normal(shape)


def effect_quantiles(kind: str, points: int) -> Vector:
    """Equally likely values that stand for a standardised distribution of random effects."""
    middle = (np.arange(points) + 0.5) / points
    if kind == "t":
        values = stdtrit(_T_DF, middle) / np.sqrt(_T_DF / (_T_DF - 2.0))
    elif kind == "skewed":
        values = -np.log1p(-middle) - 1.0
    elif kind == "bimodal":
        half = np.sqrt(1.0 - _BIMODAL**2) * ndtri((np.arange(points // 2) + 0.5) / (points // 2))
        values = np.concatenate([half - _BIMODAL, half + _BIMODAL])
    else:
        values = ndtri(middle)
    return np.asarray(values)


def _covariate(rng: np.random.Generator, covariate: Covariate, codes: NDArray[np.int32]) -> Vector:
    size = int(codes.max()) + 1 if covariate.between else codes.size
    if covariate.kind == "bernoulli":
        values = (rng.uniform(size=size) < covariate.probability).astype(np.float64)
    elif covariate.kind == "exponential":
        values = rng.exponential(size=size)
    else:
        values = rng.standard_normal(size)
    return values[codes] if covariate.between else values


def _with_intercept(columns: Matrix) -> Matrix:
    return np.column_stack([np.ones(len(columns)), columns])
