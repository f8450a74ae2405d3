"""Data frames as what a flow takes, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfflows.data.cells import cells_of, decoded, noisy
from tfflows.data.frames import column_of, filled, make_frame
from tfflows.data.imputation import impute
from tfflows.data.inference import inferred_support
from tfflows.flow import Flow
from tfflows.layers import Chain, Column, Columns
from tfflows.layers.parts import layers_of_kind
from tfflows.layers.supports import Categories, Constant, CopyOf, Support
from tfflows.random.seeds import stateless_seed


@dataclasses.dataclass(frozen=True)
class Table:
    """The columns of a data frame: from its rows to the matrix x that a flow takes, and back.

        frame -> encode -> x -> a flow -> x -> decode -> frame

    x has one number for each column, in the column's own unit: numbers as they are, integers and
    categories as k + u, of their code k and uniform noise u. `with_support` ends a flow in the map
    onto the supports of the columns, so that all that it draws can be decoded, and is saved with
    the table in it: `Table.of(flow)`.

    Columns that would give a flow an infinite density have no place in x: those that are constant,
    and copies of others. `decode` restores them. Where many rows share a number such as 0 a density
    grows without end, too: give such columns noise as wide as they are exact, or whole units.

    Of rows with integers or categories `flow.log_prob(x)` is a log-density p of k + u. What the
    flow says of the row itself is P(k) = int p(k + u) du, over u in the unit cube of the discrete
    columns: a probability for these, and a density for the others in their units. In the mean over
    u, log p(k + u) is at most log P(k); see `log_prob`.

    Args:
        columns: a `tfflows.layers.Column` for each column of the frame, in its order.

    Raises:
        ValueError: if a name is there twice, or a column copies none that is there.

    Example:
        >>> random = np.random.default_rng(0)
        >>> frame = {"price": random.lognormal(size=90), "rooms": random.integers(1, 6, 90)}
        >>> frame["kind"] = np.array(["flat", "house"])[random.integers(0, 2, 90)]
        >>> table = tfflows.data.Table.from_frame(frame, support={"price": "positive"})
        >>> for column in table.columns:
        ...     print(column.name, column.support)
        price Positive(low=0.0)
        rooms Integers(low=0, high=None)
        kind Categories(values=('flat', 'house'), ordered=False)
        >>> flow = tfflows.RealNVP(table.event_shape, num_couplings=2, hidden=(8,))
        >>> flow = table.with_support(flow)
        >>> x = table.encode(frame, seed=0)
        >>> flow.adapt(x)
        >>> print(table.decode(flow.sample(2, seed=0)).dtypes.to_list()[:2])
        [dtype('float64'), dtype('int64')]
    """

    columns: tuple[Column, ...]

    def __post_init__(self):
        object.__setattr__(self, "columns", tuple(self.columns))
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"A table needs columns of different names, but found {names}.")
        for column in self.columns:
            if isinstance(column.support, CopyOf) and column.support.name not in names:
                raise ValueError(
                    f"Column {column.name!r} copies {column.support.name!r}, which is none of "
                    f"{names}."
                )

    @classmethod
    def from_frame(
        cls, frame: Mapping, support: Mapping[str, str | Support] | None = None
    ) -> Table:
        """The table of a frame whose rows are to be learned from.

        Without a word about it, a column of floats is one of real numbers, with heavy tails if some
        lie 20 times as far from the median as quartiles suggest; integers are counts if none is
        negative, yes and no if there are 0 and 1 alone, else any; texts, booleans and pandas'
        categories are categories, those of texts in sorted order.

        Args:
            frame: a pandas data frame, or a mapping of names to arrays `[n]`.
            support: of some columns what they are: `"real"`, `"positive"`, `"integer"`,
                `"category"`, or a value of `tfflows.layers.supports` such as `Interval(0.0, 1.0)`.

        Raises:
            ValueError: for a support of no column, a column of times or other things, one without
                values, one with too many texts, or values that float32 does not resolve or that
                are not in the support.
        """
        support = dict(support or {})
        unknown = sorted(map(repr, set(support) - set(frame)))
        if unknown:
            raise ValueError(
                f"There is a support for {', '.join(unknown)}, but the columns are {list(frame)}."
            )
        columns, seen = [], {}
        for name in frame:
            if not isinstance(name, str):
                raise ValueError(f"A column's name is a text, but found {name!r}.")
            values = column_of(frame, name)
            found = inferred_support(values, name, support.get(name))
            column = Column(name, found, str(values.dtype))
            cells = cells_of(column, frame)
            if found.has_dimension:
                what = found if isinstance(found, Categories) else None
                first = seen.setdefault((column.dtype, what, cells.tobytes()), name)
                if first != name:
                    column = Column(name, CopyOf(first), column.dtype)
            columns.append(column)
        return cls(tuple(columns))

    @classmethod
    def of(cls, flow: Flow) -> Table:
        """The table that a flow was given by `with_support`.

        Raises:
            ValueError: if it was given none.
        """
        found = layers_of_kind(flow.transform, Columns)
        if not found:
            raise ValueError(
                f"{flow.name} has no table: expected a flow that Table.with_support returned."
            )
        return cls(found[-1].columns)

    @property
    def event_shape(self) -> tuple[int]:
        """Shape of a row of x: `(D,)`, where constant columns and copies do not count."""
        return (len(self.in_x),)

    @property
    def in_x(self) -> list[Column]:
        """The columns that have a place in x, in its order."""
        return [column for column in self.columns if column.support.has_dimension]

    def with_support(self, flow: Flow) -> Flow:
        """A flow of the table's rows, from one of unbounded numbers that it takes the layers of.

        Args:
            flow: of `event_shape`, best not trained: it works on logarithms and logits of the
                columns, and its own standardisation suits them.

        Raises:
            ValueError: for a flow of images, or of another event shape.
        """
        if flow.num_bits is not None:
            raise ValueError(f"A table needs a flow of numbers, but {flow.name} is one of images.")
        if flow.event_shape != self.event_shape:
            raise ValueError(
                f"A flow of this table has event_shape {self.event_shape}, but {flow.name} has "
                f"{flow.event_shape}."
            )
        dtype = flow.compute_dtype
        return Flow(
            Chain([flow.transform, Columns(self.columns, dtype=dtype)], dtype=dtype),
            self.event_shape,
            base=flow.base_layer,
            context_dim=flow.context_dim,
            num_classes=flow.num_classes,
            dtype=dtype,
            memory=flow.memory,
        )

    def encode(
        self, frame: Mapping, seed: ArrayLike | None = None, dtype: str = "float32"
    ) -> np.ndarray:
        """The rows of a frame as x, `[n, D]`, NaN where a value is missing.

        A flow refuses NaN, in training too: drop such rows, or `impute` with a flow of the others.

        Args:
            frame: with the table's columns, in any order and with others besides.
            seed: of the noise u; see `tfflows.random.stateless_seed`. Several draws of it, one
                after the other, are more data to train on.
            dtype: of x.

        Raises:
            ValueError: for a column that is not there, or the first value that is not in its
                support: an unseen category, a negative price, a change of a constant.
        """
        random = np.random.default_rng(stateless_seed(seed).numpy().astype("uint32"))
        x = []
        for column in self.columns:
            cells = cells_of(column, frame)
            if column.support.has_dimension:
                x.append(noisy(cells, random, dtype) if column.support.is_discrete else cells)
        return np.stack([values.astype(dtype) for values in x], axis=1)

    def decode(self, x: ArrayLike) -> Any:
        """The pandas data frame of x, `[n, D]`: its columns in order, with their dtypes.

        Integers and categories are those that were encoded, exactly; NaN is a missing value.

        Raises:
            ImportError: without pandas.
            ValueError: for x of another shape, codes that are in no support, or missing values of
                a dtype that has no word for them.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1:] != self.event_shape:
            raise ValueError(
                f"decode expected x of shape {('n', *self.event_shape)}, but found {x.shape}."
            )
        places = iter(x.T.astype("float64"))
        values = {}
        for column in self.columns:
            support = column.support
            if isinstance(support, Constant):
                values[column.name] = np.full(len(x), support.value, object)
            elif support.has_dimension:
                values[column.name] = decoded(column, next(places))
        for column in self.columns:
            if isinstance(column.support, CopyOf):
                values[column.name] = values[column.support.name]
        return make_frame(
            {
                column.name: (values[column.name], column.dtype, self._categories(column))
                for column in self.columns
            }
        )

    def _categories(self, column):
        """What pandas knows of a column of its categories."""
        support = column.support
        if isinstance(support, CopyOf):
            named = {other.name: other for other in self.columns}
            return self._categories(named[support.name])
        if isinstance(support, Constant):
            return [support.value], False
        return (support.values, support.ordered) if isinstance(support, Categories) else None

    def log_prob(
        self, flow: Flow, frame: Mapping, num_draws: int = 1, seed: ArrayLike | None = None
    ) -> np.ndarray:
        """Lower bound of what a flow says of each row, log P in nats, `[n]`.

            log 1/K sum_j p(k + u_j),  u_j uniform noise

        Its mean over the noise is at most log P(k), and closer the larger K is; without integers
        and categories it is exact. P is a probability for these, and a density for the other
        columns, in their units.

        Args:
            flow: of the table, without a context.
            frame: rows without missing values.
            num_draws: K.
            seed: of the noise; see `tfflows.random.stateless_seed`.

        Raises:
            ValueError: if `num_draws` is below 1, or as `encode` and `Flow.log_prob` do.
        """
        if num_draws < 1:
            raise ValueError(f"log_prob needs num_draws of at least 1, but found {num_draws}.")
        if not any(column.support.is_discrete for column in self.columns):
            num_draws = 1
        seed = stateless_seed(seed).numpy()
        draws = [
            flow.log_prob(self.encode(frame, seed + [0, i], flow.compute_dtype))
            for i in range(num_draws)
        ]
        return np.logaddexp.reduce(np.asarray(draws, "float64")) - np.log(num_draws)

    def impute(
        self, flow: Flow, frame: Mapping, num_sweeps: int = 50, seed: ArrayLike | None = None
    ) -> Any:
        """The frame as a pandas data frame whose missing values are drawn from a flow.

        See `tfflows.data.impute`: draws given the other values of the row, integers and categories
        among them. All that is there stays as it is; other columns, too.

        Args:
            flow: of the table, without a context.
            frame: rows with missing values.
            num_sweeps, seed: as for `tfflows.data.impute`.

        Raises:
            ImportError: without pandas.
            ValueError: as `encode` and `tfflows.data.impute` do.
        """
        seeds = np.stack([stateless_seed(seed).numpy()] * 2) + [[0, 0], [0, 1]]
        x = self.encode(frame, seeds[0], flow.compute_dtype)
        drawn = self.decode(impute(flow, x, num_sweeps, seeds[1]).x)
        return filled(frame, drawn)
