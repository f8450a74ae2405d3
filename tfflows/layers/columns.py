"""Columns of a table, each on its own support."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfflows.checks.settings import Settings, as_value
from tfflows.layers.base import InvertibleLayer
from tfflows.layers.elementwise import summed
from tfflows.layers.supports import Categories, Constant, Integers, Support


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Column(Settings):
    """A column of a table, as a value.

    Args:
        name: of the column.
        support: where its values lie.
        dtype: of its values in a data frame, as pandas spells it; by default `"float64"`,
            `"int64"` for integers, `"object"` for categories and constants.

    Raises:
        ValueError: if the support is none.

    Example:
        >>> column = tfflows.layers.Column("price", tfflows.layers.supports.Positive())
        >>> column.support.low, column.dtype
        (0.0, 'float64')
    """

    name: str
    support: Support
    dtype: str | None = None

    def __post_init__(self):
        expected = "The support of a column is a value, such as Positive()"
        support = as_value(Support, self.support, expected)
        object.__setattr__(self, "support", support)
        if self.dtype is None:
            usual = {Integers: "int64", Categories: "object", Constant: "object"}
            object.__setattr__(self, "dtype", usual.get(type(support), "float64"))


@keras.saving.register_keras_serializable(package="tfflows")
class Columns(InvertibleLayer):
    """The real line mapped onto the support of each column.

        forward:  x_i = f_i(z_i)
        inverse:  z_i = f_i^-1(x_i)
        log-det:  the sum of the f_i's log-derivatives

    f_i is fixed by the column's support, and i runs over the columns that have a place in x. As the
    last layer of a flow it keeps all that is drawn within the supports; it is the layer that
    `tfflows.data.Table` puts there.

    Args:
        columns: a `Column` for each column of the table.

    Raises:
        ValueError: if one is no `Column`, none has a place in x, or x has another size.

    Example:
        >>> from tfflows.layers import Column, Columns
        >>> from tfflows.layers.supports import Interval, Positive
        >>> layer = Columns([Column("price", Positive()), Column("share", Interval(0.0, 1.0))])
        >>> x, log_det = layer.forward_and_log_det(tf.constant([[0.0, 0.0], [1.0, 2.0]]))
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [[1.    0.5  ]
         [2.718 0.881]] [-1.386 -1.254]
    """

    def __init__(self, columns: Sequence[Column], **kwargs):
        super().__init__(**kwargs)
        expected = "Columns takes values such as Column('price', Positive())"
        self.columns = tuple(as_value(Column, column, expected) for column in columns)
        # Those of equal support together, in the order of their first.
        places = {}
        for place, column in enumerate(self.in_x):
            places.setdefault(column.support, []).append(place)
        if not places:
            raise ValueError("Columns found no column that has a place in x.")
        self._places = places
        flat = [place for group in places.values() for place in group]
        self._order = sorted(range(len(flat)), key=flat.__getitem__)

    @property
    def in_x(self) -> list[Column]:
        """The columns that have a place in x, in its order."""
        return [column for column in self.columns if column.support.has_dimension]

    def build(self, z_shape, context_shape=None):
        if tuple(z_shape[1:]) != (len(self._order),):
            raise ValueError(
                f"Columns of {[column.name for column in self.in_x]} expected z of event shape "
                f"{(len(self._order),)}, but found {tuple(z_shape[1:])}."
            )
        super().build(z_shape, context_shape)

    def _forward(self, z, call):
        x, log_slopes = self.mapped(z, "forward")
        return x, summed(log_slopes)

    def _inverse(self, x, call):
        z, log_slopes = self.mapped(x, "inverse")
        return z, summed(log_slopes)

    def mapped(self, value: tf.Tensor, direction: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Columns mapped, and the log-derivative of each: both `[batch, D]`.

        Args:
            value: z for `"forward"`, x for `"inverse"`, `[batch, D]` of any floating dtype.
            direction: one of these two.
        """
        parts = [
            getattr(support, direction)(tf.gather(value, places, axis=1))
            for support, places in self._places.items()
        ]
        results, log_slopes = (tf.concat(part, axis=1) for part in zip(*parts, strict=True))
        return tuple(tf.gather(part, self._order, axis=1) for part in (results, log_slopes))

    def get_config(self):
        columns = [keras.saving.serialize_keras_object(column) for column in self.columns]
        return {**super().get_config(), "columns": columns}
