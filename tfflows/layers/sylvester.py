"""Sylvester layers: maps that change a few directions."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfflows.layers.low_rank import LowRankLayer
from tfflows.transformers.roots import increasing_root

# Of R and S: no slope along one of the directions is below 0.01.
_DIAGONAL_LIMIT = 0.995


@keras.saving.register_keras_serializable(package="tfflows")
class Sylvester(LowRankLayer):
    """Sylvester layer: points move in M orthogonal directions, as M projections of them say.

        forward:  x = z + Q R tanh(S Q^T z + b)
        inverse:  z = x - Q R tanh(S y + b), y the root of y + R tanh(S y + b) = Q^T x
        log-det:  sum_i log(1 + R_ii S_ii (1 - h_i^2)), h = tanh(S Q^T z + b), forward; minus that,
                  inverse

    R and S are upper triangular, with diagonals within (-1, 1), which makes the map invertible: the
    equation of the inverse is solved for one y_i after the other, from the last, by Newton's method
    and bisection, and has the implicit function's gradient; slopes of down to 0.01 in each of the
    directions magnify roundings. Q has M orthonormal columns, those of a product of M Householder
    reflections, which any such columns are for M < D. R starts at zero, where the map is the
    identity, and Q at random.

    The parameters, a vector of M D + 2 M^2 + M numbers (M reflections' vectors, R and S as matrices
    of which the lower triangle is not used, and b), are weights that a linear function of the
    context is added to. Diagonals are 0.995 tanh of theirs.

    Args:
        rank: M, at least 1, at most the number of dimensions.
        one_pass: the direction that the formula of forward is of: with `"inverse"` it maps x to z,
            as a density needs it, and the equation is what samples solve.

    Raises:
        ValueError: if events are no vectors, `rank` is out of its range, or `one_pass` is none of
            the two.

    Source: van den Berg, Hasenclever, Tomczak and Welling, "Sylvester normalizing flows for
    variational inference", 2018, https://arxiv.org/abs/1803.05649; of its three kinds the one with
    Householder reflections.

    Example:
        >>> layer = tfflows.layers.Sylvester(rank=2)
        >>> x = tf.random.normal([5, 4])
        >>> z, log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(layer(z) - x)) < 1e-5)
        True
    """

    def __init__(self, rank: int, one_pass: str = "forward", **kwargs):
        super().__init__(one_pass, **kwargs)
        if rank < 1:
            raise ValueError(f"Sylvester needs a rank of at least 1, but found {rank}.")
        self.rank = int(rank)

    def _parameter_sizes(self, dim):
        m = self.rank
        if m > dim:
            raise ValueError(
                f"Sylvester '{self.name}' has rank {m}, but events have {dim} dimensions; its rank "
                "is at most that."
            )
        return [m * dim, m * m, m * m, m]

    def _start(self, shape, dtype=None):
        reflections, *rest = self._sizes
        zeros = [tf.zeros([size], dtype) for size in rest]
        # Were S zero, too, nothing would have a gradient.
        zeros[1] = tf.reshape(tf.eye(self.rank, dtype=dtype), [-1])
        return tf.concat([keras.random.normal([reflections], dtype=dtype), *zeros], 0)

    def _matrices(self, call, dtype):
        """Q `[..., D, M]`, R and S `[..., M, M]`, b `[..., M]`, all of a batch or of one."""
        vectors, r, s, b = self._parts(call, dtype)
        m, dim = self.rank, self.latent_shape[-1]
        vectors = tf.reshape(vectors, [-1, m, dim, 1])
        q = tf.eye(dim, m, dtype=dtype)
        for i in range(m):
            v = vectors[:, i]
            share = tf.matmul(v, q, transpose_a=True) / tf.reduce_sum(v**2, 1, keepdims=True)
            q -= 2 * v * share
        return q, self._triangle(r), self._triangle(s), b

    def _triangle(self, values):
        matrix = tf.reshape(values, [-1, self.rank, self.rank])
        diagonal = _DIAGONAL_LIMIT * tf.tanh(tf.linalg.diag_part(matrix))
        return tf.linalg.set_diag(tf.linalg.band_part(matrix, 0, -1), diagonal)

    def _formula(self, z, call):
        q, r, s, b = self._matrices(call, z.dtype)
        y = _times(q, z, transpose=True)
        bend = tf.tanh(_times(s, y) + b)
        return z + _times(q, _times(r, bend)), self._log_slope(r, s, bend)

    def _solution(self, x, call):
        q, r, s, b = self._matrices(call, x.dtype)
        target = _times(q, x, transpose=True)
        y = tf.stop_gradient(self._root(r, s, b, target))
        # Two steps of Newton's method have the implicit function's first and second derivatives.
        for _ in range(2):
            bend = tf.tanh(_times(s, y) + b)
            missing = target - y - _times(r, bend)
            jacobian = tf.matmul(r * (1 - bend**2)[:, tf.newaxis], s)
            jacobian += tf.eye(self.rank, dtype=x.dtype)
            missing = missing[..., tf.newaxis]
            y += tf.squeeze(tf.linalg.triangular_solve(jacobian, missing, lower=False), -1)
        bend = tf.tanh(_times(s, y) + b)
        return x - _times(q, _times(r, bend)), -self._log_slope(r, s, bend)

    def _root(self, r, s, b, target):
        """y, from its last element to its first; those not yet known are 0."""
        r_diagonal, s_diagonal = tf.linalg.diag_part(r), tf.linalg.diag_part(s)

        def step(i, y):
            place = tf.one_hot(i, self.rank, dtype=y.dtype)
            offset = _times(s, y) + b

            def at(values):
                return tf.reduce_sum(values * place, -1)

            # Of the row, but for what y_i itself gives.
            known = at(_times(r, (1 - place) * tf.tanh(offset)))
            ri, si, offset = at(r_diagonal), at(s_diagonal), at(offset)

            def along(t):
                bend = tf.tanh(si * t + offset)
                return t + ri * bend, tf.math.log1p(ri * si * (1 - bend**2))

            goal = at(target) - known
            reach = tf.abs(ri) + tf.zeros_like(goal)
            root = increasing_root(along, goal, goal - reach, goal + reach)
            return i - 1, y + root[:, tf.newaxis] * place

        start = (tf.constant(self.rank - 1), tf.zeros_like(target))
        return tf.while_loop(lambda i, _: i >= 0, step, start, maximum_iterations=self.rank)[1]

    def _log_slope(self, r, s, bend):
        gains = tf.linalg.diag_part(r) * tf.linalg.diag_part(s)
        return tf.reduce_sum(tf.math.log1p(gains * (1 - bend**2)), -1)

    def get_config(self):
        return {**super().get_config(), "rank": self.rank}


def _times(matrix, vectors, transpose=False):
    """Products of a batch of vectors with a matrix, or with one each."""
    return tf.squeeze(tf.matmul(matrix, vectors[..., tf.newaxis], transpose_a=transpose), -1)
