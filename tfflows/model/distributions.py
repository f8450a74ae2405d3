"""A flow as TFP's objects, for which TFP is loaded when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.untracked import Untracked

if TYPE_CHECKING:
    import tensorflow_probability as tfp


class FlowDistributions:
    """The part of `Flow` that TFP sees.

    It knows a flow's `transform`, `base` and `layer_context`.
    """

    def __dir__(self):
        # As that of an InvertibleLayer.
        views = ("base", "bijector", "distribution")
        return [name for name in super().__dir__() if name not in views]

    @property
    def bijector(self) -> tfp.bijectors.Bijector:
        """The transform as a `tfb.Bijector`; see `tfflows.bijectors.LayerBijector`.

        It takes float contexts as the flow does, and standardises them, too.
        """
        if self.context_layer is None:
            return self.transform.bijector
        if getattr(self, "_bijector", None) is None:
            from tfflows.layers.view import LayerBijector

            view = LayerBijector(self.transform, map_context=self.standardized_context)
            self._bijector = Untracked(view)
        return self._bijector.value

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        """The flow as a `tfd.TransformedDistribution` over continuous x.

        Outside of the support its `log_prob` is -inf, where that of the flow is an error: this is
        what samplers such as `tfp.mcmc.HamiltonianMonteCarlo` want.
        """
        from tfflows.distributions.of_flow import FlowDistribution

        return FlowDistribution(self.base, self.bijector)

    def given(self, context: ArrayLike) -> tfp.distributions.Distribution:
        """The conditional density of x given one context, or a batch of densities given several.

        Args:
            context: `[context_dim]` or a label, for a distribution without a batch shape, or
                `[m, context_dim]` or labels `[m]` for one of batch shape `[m]`, as mixtures take:
                its `sample(n)` is `[n, m, *event_shape]`.

        Returns:
            As `distribution`.

        Raises:
            ValueError: if the flow is not conditional, or the context does not fit.

        Example:
            >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), num_classes=3)
            >>> flow.given(1).sample(5).shape, flow.given([0, 2, 1, 1]).sample(5).shape
            (TensorShape([5, 2]), TensorShape([5, 4, 2]))
            >>> mixture = tfd.MixtureSameFamily(
            ...     tfd.Categorical(probs=[0.5, 0.2, 0.3]), flow.given([0, 1, 2])
            ... )
            >>> mixture.log_prob(tf.ones([7, 2])).shape
            TensorShape([7])
        """
        if not self.is_conditional:
            raise ValueError(f"{self.name} is not conditional, but was given a context.")
        import tensorflow_probability as tfp

        from tfflows.distributions.of_flow import FlowDistribution
        from tfflows.layers.view import LayerBijector

        context = tf.convert_to_tensor(context)
        is_one = context.shape.rank == (0 if self.num_classes else 1)
        rows = context[tf.newaxis] if is_one else context
        rows = self.layer_context(rows, tf.TensorSpec((rows.shape[0], *self.event_shape)))
        base = self.base if is_one else tfp.distributions.BatchBroadcast(self.base, rows.shape[:1])
        view = LayerBijector(self.transform, context=rows[0] if is_one else rows)
        return FlowDistribution(base, view)
