"""How a flow starts from data, once."""

from __future__ import annotations

import types
import warnings
import zlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

_START = "start"


class FlowAdapting:
    """The part of `Flow` that sets the data-dependent state of its layers.

    What a flow started as is known by a checksum of its weights, which is saved with them: a flow
    whose weights are others by now was trained, however that was done, and does not start anew.
    """

    # How many examples of an array `fit` adapts to.
    adapt_examples = 10_000

    def _init_adapting(self):
        self._start = self._checksum()

    def adapt(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        seed: ArrayLike | None = None,
        again: bool = False,
    ) -> None:
        """Set the data-dependent state of all layers, and of contexts, from one batch x.

        `fit` and `train_on_batch` do it if it was not done before and the flow was not trained,
        `fit` with `adapt_examples` random examples of an array or the first batch of other data.

        Args:
            x, context, seed: as for `Flow.log_prob`.
            again: whether a flow that was trained may be changed, whose weights were trained with
                the state that it has now.

        Raises:
            ValueError: for a flow that was trained, unless `again` is true, or as `Flow.log_prob`.
        """
        if self.is_trained and not again:
            raise ValueError(
                f"{self.name} was trained already, with the scales of other data: adapt would "
                "change its density. Pass again=True to do that nevertheless."
            )
        x, _ = self.continuous(x, seed)
        if self.context_layer is not None:
            self.context_layer.adapt(self.checked_context(context, x))
        self.transform.adapt(x, self.layer_context(context, x))
        self._start = self._checksum()

    @property
    def needs_adapt(self) -> bool:
        """Whether there is data-dependent state that was not set yet."""
        contexts = self.context_layer
        return self.transform.needs_adapt or (contexts is not None and contexts.needs_adapt)

    @property
    def is_trained(self) -> bool:
        """Whether trainable weights changed since the flow was made or adapted.

        A file of version 0.1.0 does not say it; a flow of one that was adapted counts as trained.
        """
        if self._start is None:
            return not self.needs_adapt
        return self._checksum() != self._start

    def start_from(self, x: Any, y: Any | None = None) -> Any:
        """Adapt to data as `fit` takes them, if that is needed; returns the data, all of them.

        Args:
            x, y: as `check_data` returns them.
        """
        if not self.needs_adapt:
            return x
        if self.is_trained:
            warnings.warn(
                f"{self.name} was trained before its layers were set from data, and goes on as it "
                "is; adapt(x, again=True) would set them.",
                stacklevel=3,
            )
            for weight in self.weights:
                if weight.name == "adapted":
                    weight.assign(tf.ones_like(weight))
            return x
        examples, x = self._examples_and_all(x, y)
        self.adapt(*examples)
        return x

    def _examples_and_all(self, x, y):
        if isinstance(x, np.ndarray) or tf.is_tensor(x):
            return self.examples_to_adapt_to(x, y), x
        if not isinstance(x, (tf.data.Dataset, keras.utils.PyDataset, types.GeneratorType)):
            raise ValueError(
                f"{self.name} has layers that start from data, but cannot look ahead into "
                f"{type(x).__name__}; call adapt with one batch before fit."
            )
        # What each worker sees of a data set is not the same.
        if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise ValueError(
                f"{self.name} has layers that start from data; on several workers call adapt "
                "with the same batch on each before fit."
            )
        return self.first_batch(x)

    def examples_to_adapt_to(self, x: Any, y: Any | None = None) -> tuple:
        """Pair of x and context for `adapt`: `adapt_examples` random ones of arrays."""
        rows = np.random.default_rng(0).permutation(len(x))[: self.adapt_examples]
        is_context = y is not None and self.is_conditional
        return np.asarray(x)[rows], np.asarray(y)[rows] if is_context else None

    def _checksum(self):
        total = 0
        for weight in self.trainable_weights:
            total = zlib.crc32(np.asarray(weight.numpy()).tobytes(), total)
        return total

    # Keras's side: the flow's own variables in a file.

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self._start is not None:
            store[_START] = np.uint32(self._start)

    def load_own_variables(self, store):
        names = set(store.keys())
        self._start = int(np.asarray(store[_START])) if _START in names else None
        super().load_own_variables({name: store[name] for name in names - {_START}})
