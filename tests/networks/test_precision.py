"""A global low-precision policy reaches the conditioners and nothing else."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import FLOWS, build_flow, draw_context, draw_data, draw_points

import tfflows


@pytest.mark.parametrize("name", ["realnvp", "nice_image_classes", "generic"])
def test_flow_stays_in_float32_and_close_to_it(name):
    exact = build_flow(name, size=0.5)
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = FLOWS[name]("float32")
    mixed.set_weights(exact.get_weights())
    x, context = draw_points(exact, 20), draw_context(exact, 20)

    assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}
    expected, found = exact.log_prob(x, context), mixed.log_prob(x, context)
    z = mixed.encode(x, context)
    assert (found.dtype, z.dtype) == (tf.float32, tf.float32)
    # bfloat16 has 8 bits: relative steps of 0.004.
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.2)
    # The conditioners see the same values both ways, so the round trip stays exact.
    np.testing.assert_allclose(mixed.decode(z, context), x, rtol=1e-4, atol=1e-2)


def test_networks_compute_in_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))
    conditioner = flow.transform.layers[0].conditioner
    assert conditioner._hidden[0](np.ones([1, 1], "float32")).dtype == tf.bfloat16
    # What becomes shifts and log-scales is not rounded.
    assert conditioner(np.ones([1, 1], "float32")).dtype == tf.float32
    in_float64 = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,), dtype="float64")
    conditioner = in_float64.transform.layers[0].conditioner
    assert conditioner(np.ones([1, 1])).dtype == tf.float64


def test_training_and_metrics_in_low_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
    # Keras would cast a model's inputs to bfloat16, which cannot tell these values apart.
    x = 1000 + draw_data(flow, 64)
    flow.compile(keras.optimizers.Adam(0.03))
    history = flow.fit(x, batch_size=32, epochs=4, verbose=0).history
    assert history["nll"][-1] < history["nll"][0]
    result = flow.evaluate(x, verbose=0, return_dict=True)
    assert result["nll"] == pytest.approx(-np.mean(flow.log_prob(x)), rel=1e-3)
