"""Masked networks: each output sees the inputs that come before it in an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.activations import activation_of

# Hidden units, from which on two smaller products are faster than one with zeros.
_LEAST_SPLIT = 128


@keras.saving.register_keras_serializable(package="tfflows")
class MaskedMLP(keras.layers.Layer):
    """Multi-layer perceptron whose outputs for dimension i depend on the dimensions before i alone.

        u_1 = W_1 x + C context + b_1,  u_k = W_k a(u_{k-1}) + b_k,  output = W a(u_n) + b

    with `residual=True` each second hidden layer, from the third on, adds what is two layers before
    it: u_k + u_{k-2}. The W are masked. Each hidden unit has a degree, evenly spread over the units
    of a layer: it sees dimensions up to that level of the order, and is seen by dimensions beyond
    it. With a context, or with one level alone, the least degree sees no dimension at all, so that
    the first dimension has its context as the others have.

    The network computes in `dtype` (float32 unless said otherwise), whatever Keras's global policy
    says: an inverse that is built level by level must find the values that one pass gives.

    Args:
        num_parameters: number of outputs per dimension.
        hidden: sizes of the hidden layers.
        order: `"sequential"`, `"reversed"`, or the level of each dimension: the integers 0 ... n-1
            in any order, or with some of them repeated. Dimensions of one level do not condition
            each other.
        activation: an elementwise Keras activation.
        residual: whether hidden layers are residual blocks; they then have one size, and their
            number is odd.
        zero_output: start the last layer at zero.

    Inputs: x `[batch, n]` and context `[batch, c]` or `None`; output `[batch, num_parameters * n]`,
    one parameter after the other, each for all n dimensions.

    Raises:
        ValueError: if an argument is out of its range, the order is none of n dimensions, or a
            hidden layer has fewer units than it has degrees, so that dimensions would be cut off.

    Source: Germain, Gregor, Murray and Larochelle, "MADE: masked autoencoder for distribution
    estimation", 2015, https://arxiv.org/abs/1502.03509; residual blocks as in Nash and Durkan,
    "Autoregressive energy machines", 2019, https://arxiv.org/abs/1904.05626.

    Example:
        >>> network = tfflows.networks.MaskedMLP(2, hidden=(16, 16))
        >>> x = tf.Variable([[0.3, -0.2, 1.0]])
        >>> with tf.GradientTape() as tape:
        ...     y = network(x)
        >>> y.shape
        TensorShape([1, 6])
        >>> print(tape.jacobian(y, x)[0, :3, 0].numpy() != 0)
        [[False False False]
         [ True False False]
         [ True  True False]]
    """

    def __init__(
        self,
        num_parameters: int,
        hidden: Sequence[int] = (256, 256),
        order: str | Sequence[int] = "sequential",
        activation: str | Callable = "relu",
        residual: bool = False,
        zero_output: bool = False,
        **kwargs,
    ):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if self.compute_dtype not in ("float32", "float64"):
            raise ValueError(
                f"MaskedMLP was given dtype {self.dtype_policy.name!r}, whose rounding would grow "
                "from dimension to dimension; give it 'float32' or 'float64'."
            )
        self.num_parameters = int(num_parameters)
        self.hidden = [int(units) for units in hidden]
        if not self.hidden or min(self.num_parameters, *self.hidden) < 1:
            raise ValueError(
                "MaskedMLP needs num_parameters of at least 1 and at least one hidden layer, of at "
                f"least one unit, but found {num_parameters} and {self.hidden}."
            )
        self.order = order if isinstance(order, str) else [int(level) for level in order]
        self.activation = activation_of(activation)
        self.residual = bool(residual)
        if residual and (len(set(self.hidden)) > 1 or len(self.hidden) % 2 == 0):
            raise ValueError(
                "MaskedMLP with residual blocks needs an odd number of hidden layers of one size, "
                f"but found {self.hidden}."
            )
        self.zero_output = bool(zero_output)

    def build(self, x_shape, context_shape=None):
        if len(x_shape) != 2:
            raise ValueError(
                f"MaskedMLP '{self.name}' expected vectors, but found x of event shape "
                f"{tuple(x_shape[1:])}."
            )
        n = x_shape[-1]
        self.levels = levels_of(self.order, n)
        # A unit of degree d sees levels up to d; of -1, none.
        least = -1 if context_shape is not None or self.num_levels == 1 else 0
        degrees = [_degrees(least, self.num_levels - 1, units) for units in self.hidden]
        # Sizes of groups. Units of the lower half of the degrees see none of the upper half, which
        # is a quarter of a product, and worth two of them if it is large.
        self._sizes = [[n], *([d.size] for d in degrees)]
        if self.num_levels > 2 and min(self.hidden) >= _LEAST_SPLIT:
            middle = least + (self.num_levels - 1 - least) // 2
            self._sizes[1:] = [[int(sum(d < middle)), int(sum(d >= middle))] for d in degrees]
        self._rows = [_rows(d + 1, self.num_levels) for d in degrees]
        self._rows.append(_rows(self.levels, self.num_levels))
        outputs = np.tile(self.levels, self.num_parameters)
        seen = [self.levels, *degrees]
        sees = [*degrees, outputs - 1]
        self._masks = [a[:, None] <= b for a, b in zip(seen, sees, strict=True)]
        self.kernels, self.biases = [], []
        for k, mask in enumerate(self._masks):
            is_last = k == len(self.hidden)
            start = "glorot_uniform" if is_last else "he_normal"
            start = "zeros" if is_last and self.zero_output else start
            kernel = self.add_weight(
                mask.shape, initializer=start, autocast=False, name=f"kernel_{k}"
            )
            bias = self.add_weight(
                mask.shape[1:], initializer="zeros", autocast=False, name=f"bias_{k}"
            )
            self.kernels.append(kernel)
            self.biases.append(bias)
            # tf.train.Checkpoint does not look into Keras's lists.
            setattr(self, f"kernel_{k}", kernel)
            setattr(self, f"bias_{k}", bias)
        self.context_kernel = None
        if context_shape is not None:
            self.context_kernel = self.add_weight(
                (context_shape[-1], self.hidden[0]), autocast=False, name="context_kernel"
            )
        self.built = True

    @property
    def num_levels(self) -> int:
        """Number of levels of the order, and of steps that an inverse takes."""
        return int(self.levels.max()) + 1

    def parameters(self) -> dict:
        """What `function` and `in_order` need, as tensors: masked kernels, and biases."""
        kernels = [
            tf.convert_to_tensor(kernel) * mask.astype(kernel.dtype)
            for kernel, mask in zip(self.kernels, self._masks, strict=True)
        ]
        found = {"kernels": kernels, "biases": [tf.convert_to_tensor(b) for b in self.biases]}
        if self.context_kernel is not None:
            found["context_kernel"] = tf.convert_to_tensor(self.context_kernel)
        return found

    def function(self, parameters: dict) -> Callable:
        """The network for what `parameters` returned, a function of x and a context or `None`."""

        def outputs(x, context=None):
            groups, sums = [x], [[] for _ in self._sizes[1]]
            *hidden, (kernel, bias) = zip(parameters["kernels"], parameters["biases"], strict=True)
            for k, (weights, offsets) in enumerate(hidden):
                blocks = self._blocks(weights, k)
                # As a bias, and not as a sum, TensorFlow fuses it with the product.
                offsets = tf.split(offsets, self._sizes[k + 1])
                if k == 0 and context is not None:
                    moved = tf.matmul(context, parameters["context_kernel"])
                    moved = tf.split(moved, self._sizes[1], -1)
                found = []
                for g, own in enumerate(sums):
                    # Groups beyond its own it does not see.
                    u = _product(groups[: g + 1], [row[g] for row in blocks])
                    u = tf.nn.bias_add(u, offsets[g])
                    if k == 0 and context is not None:
                        u += moved[g]
                    found.append(self._activated(u, own))
                groups = found
            return tf.nn.bias_add(_product(groups, tf.split(kernel, self._sizes[-1])), bias)

        return outputs

    def _blocks(self, kernel, k):
        """The kernel of layer k by the groups of its inputs and outputs."""
        rows = tf.split(kernel, self._sizes[k])
        return [tf.split(row, self._sizes[k + 1], -1) for row in rows]

    def call(self, x, context=None):
        return self.function(self.parameters())(x, context)

    def in_order(
        self,
        parameters: dict,
        transform: Callable,
        given: Callable,
        context: ArrayLike | None = None,
    ) -> tf.Tensor:
        """y with `y_i = transform(given_i, p_i)`, p_i the parameters that the y before i give.

        Level by level, each step computes the hidden units that the last level has completed, and
        no unit is computed twice: all steps together multiply as much as one pass.

        Args:
            parameters: what `parameters` returned.
            transform: of values `[k, batch]` and a list of `num_parameters` tensors of that shape,
                elementwise.
            given: `[batch, n]`.
            context: `[batch, c]` or `None`.
        """
        kernels = [_padded(tf.transpose(kernel), 1, 1) for kernel in parameters["kernels"][:-1]]
        biases = [_padded(bias[:, tf.newaxis], 1) for bias in parameters["biases"][:-1]]
        if context is not None:
            moved = tf.matmul(parameters["context_kernel"], context, True, transpose_b=True)
            biases[0] += _padded(moved, 1)
        # Each parameter's outputs by themselves: [n, p, ...].
        n, p = given.shape[-1], self.num_parameters
        kernel = tf.reshape(tf.transpose(parameters["kernels"][-1]), [p, n, -1])
        kernel = _padded(tf.transpose(kernel, [1, 0, 2]), 1, 0, 1)
        bias = _padded(tf.transpose(tf.reshape(parameters["biases"][-1], [p, n])), 1)
        given = _padded(tf.transpose(given), 1)
        tables = [tf.constant(rows) for rows in self._rows]

        def step(level, y, states):
            h, sums, found = y, [], []
            for weight, offset, table, state in zip(kernels, biases, tables, states, strict=False):
                rows = table[level]
                u = tf.matmul(tf.gather(weight, rows), h) + tf.gather(offset, rows)
                h = tf.tensor_scatter_nd_update(
                    state, rows[:, tf.newaxis], self._activated(u, sums)
                )
                found.append(h)
            rows = tables[-1][level]
            own = tf.reshape(tf.gather(kernel, rows), [-1, kernel.shape[-1]])
            own = tf.reshape(tf.matmul(own, h), [rows.shape[0], p, -1])
            own += tf.gather(bias, rows)[..., tf.newaxis]
            values = transform(tf.gather(given, rows), tf.unstack(own, axis=1))
            return level + 1, tf.tensor_scatter_nd_update(y, rows[:, tf.newaxis], values), found

        batch = tf.shape(given)[1]
        states = [tf.zeros([units + 1, batch], given.dtype) for units in self.hidden]
        _, y, _ = tf.while_loop(
            lambda level, *_: level < self.num_levels,
            step,
            (tf.constant(0), tf.zeros_like(given), states),
            maximum_iterations=self.num_levels,
        )
        return tf.ensure_shape(tf.transpose(y[:-1]), [None, n])

    def _activated(self, u, sums):
        """a(u), for u with its residual connection; `sums` are the hidden layers so far."""
        if self.residual and sums and len(sums) % 2 == 0:
            u += sums[-2]
        sums.append(u)
        return self.activation(u)

    def compute_output_shape(self, x_shape, context_shape=None):
        return (*x_shape[:-1], self.num_parameters * x_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "num_parameters": self.num_parameters,
            "hidden": self.hidden,
            "order": self.order,
            "activation": keras.activations.serialize(self.activation),
            "residual": self.residual,
            "zero_output": self.zero_output,
        }


def levels_of(order: str | Sequence[int], n: int) -> np.ndarray:
    """The level of each of n dimensions in an order, see `MaskedMLP`.

    Raises:
        ValueError: if it is no order of n dimensions.

    Example:
        >>> from tfflows.networks.masked import levels_of
        >>> print(levels_of("reversed", 3), levels_of([0, 1, 0], 3))
        [2 1 0] [0 1 0]
    """
    if isinstance(order, str):
        if order not in ("sequential", "reversed"):
            raise ValueError(
                "An order is 'sequential', 'reversed' or a list of the dimensions' levels, but "
                f"found {order!r}."
            )
        levels = np.arange(n)
        return levels if order == "sequential" else levels[::-1].copy()
    levels = np.asarray(order, int)
    if levels.shape != (n,):
        raise ValueError(f"An order of {n} dimensions needs {n} levels, but found {len(levels)}.")
    if set(levels) != set(range(levels.max() + 1)):
        raise ValueError(
            f"An order's levels are 0, 1, ... without a gap, but found {levels.tolist()}."
        )
    return levels


def _product(values, kernels):
    """Sum of the products of groups of values with their rows of a kernel."""
    products = [tf.matmul(value, kernel) for value, kernel in zip(values, kernels, strict=False)]
    return products[0] if len(products) == 1 else tf.add_n(products)


def _degrees(least, end, units):
    """Degrees least ... end - 1 for a layer's units, spread evenly."""
    number = end - least
    if units < number:
        raise ValueError(
            f"MaskedMLP found a hidden layer of {units} units for {number} degrees, which would "
            f"cut dimensions off; give each hidden layer at least {number} units."
        )
    return least + np.arange(units) * number // units


def _rows(steps, num_steps):
    """For each step what belongs to it, padded with the place behind the last one."""
    groups = [np.flatnonzero(steps == step) for step in range(num_steps)]
    size = max(len(group) for group in groups)
    return np.array([[*group, *[len(steps)] * (size - len(group))] for group in groups], "int32")


def _padded(value, *ends):
    """With zeros behind the last entries, by axis."""
    paddings = [[0, end] for end in ends] + [[0, 0]] * (value.shape.rank - len(ends))
    return tf.pad(value, paddings)
