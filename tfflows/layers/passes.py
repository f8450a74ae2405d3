"""What a map depends on besides its value, as one object that layers hand on to each other."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfflows.layers.solves import Costs


@dataclasses.dataclass(frozen=True)
class Pass:
    """All that may change what a layer computes from z or x, but for its weights.

    Public methods make one of their keywords; layers that consist of others hand the same one on.

    Attributes:
        context: what a conditional flow is conditioned on, `[batch, context_dim]`, or `None`.
        training: whether dropout and the like are on.
        seed: of the noise of layers that estimate their log-det, see
            `tfflows.random.stateless_seed`; `None` leaves it to the layers, which draw new noise
            in training and always the same otherwise.
        row_seeds: int64 `[batch, 2]`: the noise of row i of a batch is then a function of
            `row_seeds[i]` alone, see `tfflows.random.counter`; it goes before `seed`.
        log_dets: whether log-dets are wanted; without, what layers return in their place says
            nothing.
        dtype: of the values, `"float64"` where a precise `tfflows.layers.Chain` hands it on to
            layers of float32; `None` for the layer's own.
        constants: whether weights will not change any more, as in an export, so that what is
            computed from them may be, too.
        step, steps: which of how many equal steps of a `tfflows.layers.Stack` this is, each with
            noise of its own; 0 and `None` outside of stacks.
        costs: where layers that solve equations record what it cost them, or `None`.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(2, hidden=(8,))
        >>> layer = tfflows.layers.ContinuousLayer(network)
        >>> call = tfflows.layers.Pass(log_dets=False)
        >>> x, _ = layer.forward_pass(tf.ones([5, 2]), call)
        >>> x.shape
        TensorShape([5, 2])
    """

    context: tf.Tensor | None = None
    training: bool = False
    seed: tf.Tensor | int | None = None
    row_seeds: tf.Tensor | None = None
    log_dets: bool = True
    dtype: str | None = None
    constants: bool = False
    step: tf.Tensor | int = 0
    steps: int | None = None
    costs: Costs | None = None

    def replace(self, **changes) -> Pass:
        """The same with some attributes changed."""
        return dataclasses.replace(self, **changes)
