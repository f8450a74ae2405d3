"""Missing values of rows, drawn from a flow given the others."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.data.cells import noisy
from tfflows.flow import Flow
from tfflows.layers import Columns, Pass
from tfflows.layers.parts import layers_of_kind
from tfflows.random.seeds import stateless_seed

# Samples of the flow that its covariance is taken from.
_SAMPLES = 4096
# Degrees of freedom of proposals, whose tails shall be heavier than those of the flow.
_FREEDOM = 5.0
# Rows at a time, each of which takes a matrix.
_ROWS = 1000


@dataclasses.dataclass(frozen=True)
class Imputation:
    """Rows without missing values, and how freely the chains that found them moved.

    Attributes:
        x: `[n, D]`, with the given values as they were.
        acceptance: share of the proposals that were taken, `[n]`; NaN where nothing was missing.
            Where it is a few percent, a row may still be where its chain started: more sweeps.
    """

    x: np.ndarray
    acceptance: np.ndarray


def impute(
    flow: Flow, x: ArrayLike, num_sweeps: int = 50, seed: ArrayLike | None = None
) -> Imputation:
    """Draw the missing values of each row from a flow's distribution of them given the others.

        propose:  y_S ~ t_5(m, C) given all else, x_S = g(y_S)
        take x' with probability min(1, p(x') q(x_S) / (p(x) q(x'_S)))

    This is Metropolis and Hastings' algorithm, which leaves p(missing | given) as it is, whatever
    the proposals q. They come from the normal distribution of the mean and covariance of samples of
    the flow, conditioned on all else in the row, with heavier tails: y are the columns as unbounded
    numbers, logarithms and logits where the flow is one of a `Table`. A sweep proposes all missing
    values S of a row at once, and then one after the other. Of a flow with integers or categories
    the given ones stand for their cells [k, k + 1): sweeps draw where in the cell they are, too.

    A draw is exact in the limit of many sweeps; for normal distributions few will do. It is one of
    many possible rows, not the most likely one: means and errors take several, of other seeds or of
    repeated rows.

    Args:
        flow: of vectors, without a context.
        x: `[n, D]`, NaN where a value is missing.
        num_sweeps: K, each of one evaluation of `log_prob` for all missing values of a row, and one
            for each of them.
        seed: see `tfflows.random.stateless_seed`.

    Raises:
        ValueError: for x of another shape, infinite values, `num_sweeps` below 1, a flow of
            something else than vectors, or given values outside of the flow's support.

    Source: Tierney, "Markov chains for exploring posterior distributions", 1994, section 2.3.3
    (independence chains) and 2.4 (cycles of them).

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> x = np.array([[1.0, np.nan], [2.0, 3.0]])
        >>> filled = tfflows.data.impute(flow, x, num_sweeps=5, seed=0)
        >>> print(filled.x[:, 0], bool(np.isfinite(filled.x[0, 1])), filled.acceptance[1])
        [1. 2.] True nan
    """
    x = np.array(x, flow.compute_dtype)
    if len(flow.event_shape) != 1 or flow.num_bits is not None:
        raise ValueError(
            f"impute needs a flow of vectors, but {flow.name} has events of shape "
            f"{flow.event_shape}."
        )
    if x.ndim != 2 or x.shape[1:] != flow.event_shape:
        raise ValueError(
            f"impute expected x of shape {('n', *flow.event_shape)}, but found {x.shape}."
        )
    if np.isinf(x).any():
        raise ValueError(f"impute expected numbers or NaN, but {np.isinf(x).sum()} are infinite.")
    if num_sweeps < 1:
        raise ValueError(f"impute needs num_sweeps of at least 1, but found {num_sweeps}.")
    seed = stateless_seed(seed)
    chains = _Chains(flow, seed)
    acceptance = np.full(len(x), np.nan)
    incomplete = np.flatnonzero(np.isnan(x).any(axis=1))
    for start in range(0, len(incomplete), _ROWS):
        rows = incomplete[start : start + _ROWS]
        x[rows], acceptance[rows] = chains.run(x[rows], num_sweeps)
    return Imputation(x, acceptance)


class _State(NamedTuple):
    """Where chains are: rows as y and as x, log|dx_i/dy_i|, and log p(x)."""

    y: np.ndarray
    x: np.ndarray
    log_slopes: np.ndarray
    log_p: np.ndarray

    def where(self, taken, other: _State) -> _State:
        """This state in the rows that were taken, the other one elsewhere."""
        pairs = zip(self, other, strict=True)
        return _State(*(np.where(_like(taken, new), new, old) for new, old in pairs))


class _Chains:
    """Markov chains over the missing values of rows, one a row."""

    def __init__(self, flow, seed):
        layers = layers_of_kind(flow.transform, Columns)
        self._columns = layers[-1] if layers else None
        self._is_discrete = np.zeros(flow.event_shape, bool)
        if layers:
            self._is_discrete[:] = [column.support.is_discrete for column in layers[-1].in_x]
        self._dtype = flow.compute_dtype
        self._random = np.random.default_rng(seed.numpy().astype("uint32"))
        self._log_prob = tf.function(
            lambda x: flow.log_prob_pass(x, Pass()),
            input_signature=[tf.TensorSpec([None, *flow.event_shape], self._dtype)],
            autograph=False,
        )
        y, _ = self._mapped(flow.sample(_SAMPLES, seed=seed).numpy(), "inverse")
        covariance = np.atleast_2d(np.cov(y.T))
        # Columns that nearly determine each other leave it singular to rounding.
        covariance += 1e-8 * np.diag(np.diag(covariance))
        self._mean, self._precision = y.mean(axis=0), np.linalg.inv(covariance)

    def run(self, given, num_sweeps):
        """Rows without NaN, and the share of proposals that each took."""
        missing = np.isnan(given)
        in_cell = self._is_discrete & ~missing
        cells = np.where(in_cell, np.floor(given), 0)
        state = self._start(given, missing)
        taken = tried = 0
        for _ in range(num_sweeps):
            for chosen in [missing, *_one_by_one(missing)]:
                state, moved = self._step(state, chosen)
                taken, tried = taken + moved, tried + chosen.any(axis=1)
            for chosen in _one_by_one(in_cell):
                state = self._step_in_cell(state, chosen, cells)
        return np.where(missing, state.x, given), taken / tried

    def _start(self, given, missing):
        # Any number that is in the support stands in for those that are missing.
        middle, _ = self._mapped(self._mean[np.newaxis], "forward")
        x = np.where(missing, middle, given)
        y, log_slopes = self._mapped(x, "inverse")
        if not np.isfinite(y).all():
            row = given[np.argmin(np.isfinite(y).all(axis=1))]
            raise ValueError(f"impute found values outside of the flow's support: {row.tolist()}.")
        start = _State(y, x, -log_slopes, np.full(len(x), -np.inf))
        return self._step(start, missing)[0]

    def _step(self, state, chosen):
        """Propose new values of the chosen places of each row, in the space of y, and judge."""
        precision = self._precision
        deviation = state.y - self._mean
        # The conditional distribution of the chosen places, and a standard one of the others.
        pairs = chosen[:, :, np.newaxis] & chosen[:, np.newaxis, :]
        matrix = np.where(pairs, precision, np.eye(len(precision)) * ~chosen[:, np.newaxis, :])
        known = np.where(chosen, 0, deviation) @ precision
        centre = -np.linalg.solve(matrix, (known * chosen)[..., np.newaxis])[..., 0]
        noise = self._random.normal(size=chosen.shape) * chosen
        root = np.swapaxes(np.linalg.cholesky(matrix), 1, 2)
        noise = np.linalg.solve(root, noise[..., np.newaxis])[..., 0]
        noise /= np.sqrt(self._random.chisquare(_FREEDOM, size=[len(chosen), 1]) / _FREEDOM)
        y = np.where(chosen, self._mean + centre + noise, state.y)
        x, log_slopes = self._mapped(y, "forward")
        proposed = self._state(y, np.where(chosen, x, state.x), log_slopes)

        def log_q(at):
            distance = np.where(chosen, at.y - self._mean - centre, 0)
            square = np.einsum("ni,ij,nj->n", distance, precision, distance)
            power = (_FREEDOM + chosen.sum(axis=1)) / 2
            return -power * np.log1p(square / _FREEDOM) - np.sum(at.log_slopes * chosen, axis=1)

        return self._judged(proposed, state, log_q(state) - log_q(proposed), chosen)

    def _step_in_cell(self, state, chosen, cells):
        """Propose another place in the cells of the chosen columns, all as likely."""
        x = np.where(chosen, noisy(cells, self._random, self._dtype), state.x)
        y, log_slopes = self._mapped(x, "inverse")
        return self._judged(self._state(y, x, -log_slopes), state, 0.0, chosen)[0]

    def _judged(self, proposed, state, log_ratio, chosen):
        """The state by Metropolis' rule, and in which rows it is the proposed one."""
        chance = 1 - self._random.random(len(chosen))  # of (0, 1], whose logarithm is finite
        with np.errstate(invalid="ignore"):  # where neither has a density
            taken = np.log(chance) < proposed.log_p - state.log_p + log_ratio
        taken &= chosen.any(axis=1)
        return proposed.where(taken, state), taken

    def _state(self, y, x, log_slopes):
        log_p = self._log_prob(tf.constant(x, self._dtype)).numpy().astype("float64")
        return _State(y, x, log_slopes, np.where(np.isfinite(log_p), log_p, -np.inf))

    def _mapped(self, value, direction):
        """y and x of each other, and log-derivatives, in float64."""
        if self._columns is None:
            return value.astype("float64"), np.zeros(value.shape)
        mapped = self._columns.mapped(tf.constant(value, "float64"), direction)
        return tuple(part.numpy() for part in mapped)


def _one_by_one(mask):
    """Masks of the first place of each row, of the second, ..."""
    number = np.cumsum(mask, axis=1)
    return [mask & (number == i + 1) for i in range(number.max(initial=0))]


def _like(taken, values):
    return taken.reshape([-1, *[1] * (values.ndim - 1)])
