"""A flow that classifies too: a head on its latents, trained with the density."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from tfflows.flow import Flow
from tfflows.model.losses import mean_over_batch
from tfflows.model.seeded_steps import SeededSteps


@keras.saving.register_keras_serializable(package="tfflows")
class HybridClassifier(SeededSteps, keras.Model):
    """An invertible classifier, of p(y|x) and p(x) by one flow.

        z = f^-1(x),  p(y|x) = softmax(W z + b)
        loss = -log p(y|x) - density_weight log p(x) / D,  D the dimensions of x

    The head is linear; all that is not comes from the flow. `fit(x, y)` takes integer labels, and
    the model returns the log-probabilities of the classes and log p(x), which tells inputs that
    are unlike the data. Metrics: `accuracy` and `nll` (nats per example).

    Args:
        flow: an unconditional `tfflows.Flow`, e.g. an `IResNet`, which is trained with the head.
        num_classes: number of labels.
        density_weight: of the density in the loss, at least 0; with 0 the flow is an invertible
            classifier without a trained density.

    Raises:
        ValueError: for a conditional flow, or a number out of its range; from `fit` for labels
            that are out of range, and as `Flow.fit` does.

    Source: Behrmann, Grathwohl, Chen, Duvenaud and Jacobsen, "Invertible residual networks",
    2019; Nalisnick, Matsukawa, Teh, Gorur and Lakshminarayanan, "Hybrid models with deep and
    invertible features", 2019, whose loss this is.

    Example:
        >>> flow = tfflows.IResNet((2,), num_blocks=2, hidden=(16,))
        >>> model = tfflows.HybridClassifier(flow, num_classes=2)
        >>> x, y = tfflows.data.toy.moons(512)
        >>> model.compile(keras.optimizers.Adam(0.01))
        >>> history = model.fit(x, y, epochs=5, verbose=0)
        >>> {name: values.shape for name, values in model.predict(x[:3], verbose=0).items()}
        {'log_probs_of_classes': (3, 2), 'log_prob': (3,)}
    """

    def __init__(self, flow: Flow, num_classes: int, density_weight: float = 1.0, **kwargs):
        super().__init__(dtype=flow.compute_dtype, **kwargs)
        if flow.is_conditional:
            raise ValueError(
                f"HybridClassifier needs an unconditional flow, but {flow.name} takes a context."
            )
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, but found {num_classes}.")
        if not 0 <= density_weight < math.inf:
            raise ValueError(f"density_weight must be at least 0, but found {density_weight}.")
        self.flow = flow
        self.num_classes = int(num_classes)
        self.density_weight = float(density_weight)
        self.head = keras.layers.Dense(num_classes, dtype=flow.compute_dtype)
        self.head.build((None, math.prod(flow.transform.latent_shape)))
        self._nll = keras.metrics.Mean("nll")
        self._accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
        self.built = True

    def call(self, inputs, training=False):
        """A dictionary: `log_probs_of_classes` `[batch, num_classes]` and `log_prob` `[batch]`.

        Args:
            inputs: x, or a pair of x and the seed of its noise.
            training: whether dropout and the like are on.
        """
        x, seed = inputs if isinstance(inputs, tuple) else (inputs, None)
        x, log_q = self.flow.continuous(x, seed, training)
        # In evaluation the noise of log-dets is that of every other evaluation.
        seed = seed if training else None
        z, log_det = self.flow.transform.inverse_and_log_det(x, None, training, seed)
        size = math.prod(self.flow.transform.latent_shape)
        return {
            "log_probs_of_classes": tf.nn.log_softmax(self.head(tf.reshape(z, [-1, size]))),
            "log_prob": self.flow.base.log_prob(z) + log_det - log_q,
        }

    def fit(self, x=None, y=None, *args, **kwargs):
        """Train on x and integer labels; arguments and result as for `keras.Model.fit`.

        x and y are arrays, or x is a `tf.data.Dataset` of pairs. Noise follows from seeds as in
        `Flow.fit`.
        """
        self.flow.start_from(self._checked(x, y))
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Mean loss, `accuracy` and `nll`; arguments as for `fit`, noise as for `Flow.evaluate`."""
        self._checked(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def _with_seed(self, data, training):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return (x, self.step_seed(training)), y, sample_weight

    def _checked(self, x, y):
        """What the flow is to look at: x without labels."""
        if isinstance(x, tf.data.Dataset):
            return self.flow.check_data(x.map(lambda x, y: x))[0]
        y = np.asarray(y)
        if y.ndim != 1 or y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= self.num_classes:
            found = f"dtype {y.dtype}, shape {y.shape}"
            if y.ndim == 1 and y.dtype.kind in "iu":
                found = f"values from {y.min()} to {y.max()}"
            raise ValueError(
                f"{self.name} expected labels [batch] of integers in [0, {self.num_classes}), but "
                f"found {found}."
            )
        return self.flow.check_data(x)[0]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        cross_entropy = keras.losses.sparse_categorical_crossentropy(
            y, y_pred["log_probs_of_classes"], from_logits=True
        )
        weight = self.density_weight / math.prod(self.flow.event_shape)
        losses = cross_entropy - weight * y_pred["log_prob"]
        return mean_over_batch(losses, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self._nll.update_state(-y_pred["log_prob"], sample_weight)
        self._accuracy.update_state(y, y_pred["log_probs_of_classes"], sample_weight)
        return self.get_metrics_result()

    def get_config(self):
        return {
            "flow": keras.saving.serialize_keras_object(self.flow),
            "num_classes": self.num_classes,
            "density_weight": self.density_weight,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "flow": keras.saving.deserialize_keras_object(config["flow"])})
