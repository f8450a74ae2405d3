"""Adam in one operation per weight."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfflows")
class FusedAdamW(keras.optimizers.AdamW):
    """Keras's AdamW, whose update of a weight is TensorFlow's one fused operation.

        m <- beta_1 m + (1 - beta_1) g,  v <- beta_2 v + (1 - beta_2) g^2
        w <- w - rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)

    The update is the same. Deep flows have hundreds of small weights, and Keras's twenty operations
    for each take longer to trace than the flow itself. On several replicas gradients are summed up
    before they are clipped, so that the result is that of one device; with
    `gradient_accumulation_steps` a schedule of the learning rate counts updates. Arguments as for
    `keras.optimizers.AdamW`, but for `amsgrad`; the moving average of the weights (`use_ema`)
    differs, it starts with a momentum of min(`ema_momentum`, t / (t + 9)) at step t, so that short
    runs forget their start.

    Raises:
        ValueError: for `amsgrad=True`.

    Source: Kingma and Ba, "Adam", 2015; weight decay by Loshchilov and Hutter, "Decoupled weight
    decay regularization", 2019.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> flow.compile(tfflows.training.FusedAdamW(1e-3))
        >>> history = flow.fit(np.zeros([8, 2]), verbose=0)
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.amsgrad:
            raise ValueError("FusedAdamW has no amsgrad; use keras.optimizers.AdamW.")

    def _get_current_learning_rate(self):
        # Keras counts the parts that gradients are accumulated over, too.
        if isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            return self._learning_rate(self.iterations)
        return super()._get_current_learning_rate()

    def _apply_weight_decay(self, variables):
        if self.weight_decay:
            super()._apply_weight_decay(variables)

    def _backend_apply_gradients(self, grads, trainable_variables):
        # Keras clips what each replica has, which is not the gradient, and sums then.
        pairs = super()._all_reduce_sum_gradients(zip(grads, trainable_variables, strict=True))
        super()._backend_apply_gradients([gradient for gradient, _ in pairs], trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars  # they are sums already

    def build(self, variables):
        if not self.built:
            # Sum over updates of the whole gradient's norm before clipping, for logs.
            self.gradient_norms = keras.Variable(
                0.0, name="gradient_norms", trainable=False, aggregation="only_first_replica"
            )
            self._track_variable(self.gradient_norms)
        super().build(variables)

    def _clip_gradients(self, grads):
        norm = tf.linalg.global_norm([tf.cast(gradient, tf.float32) for gradient in grads])
        self.gradient_norms.assign_add(norm)
        return super()._clip_gradients(grads)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(tf.convert_to_tensor(gradient), variable.dtype),
        )

    def _update_model_variables_moving_average(self, trainable_variables):
        if self.use_ema:
            step = tf.cast(self.iterations, tf.float32)
            momentum = tf.minimum(self.ema_momentum, step / (step + 9))
            if self.gradient_accumulation_steps:
                # Weights that have not moved are not averaged again.
                moved = (self._iterations + 1) % self.gradient_accumulation_steps == 0
                momentum = tf.where(moved, momentum, 1.0)
            averages = self._model_variables_moving_average
            for variable, average in zip(trainable_variables, averages, strict=True):
                if average is not None:
                    new = 1 - tf.cast(momentum, variable.dtype)
                    average.assign_add(new * (variable - average))
