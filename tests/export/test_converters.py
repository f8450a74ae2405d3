"""What converters make of functions and weights that they are known to get wrong."""

import numpy as np
import pytest
import tensorflow as tf

from tfflows.export import converters


@pytest.mark.slow
@pytest.mark.parametrize("format", converters.PIP)
def test_branches_not_chosen_and_captured_constants(format, tmp_path):
    table = tf.constant(np.arange(100, dtype="float32"))  # too many to be written into the graph

    def function(x):
        y = tf.where(x > 0, tf.math.log(x), tf.reduce_sum(table) * x)
        return {"y": tf.reduce_logsumexp(tf.stack([y, tf.math.log(tf.nn.relu(x))]), 0)}

    specs = [tf.TensorSpec([None], tf.float32, "x")]
    module = tf.Module()
    module.f = tf.function(function, specs, autograph=False).get_concrete_function()
    tf.saved_model.save(module, tmp_path / "saved", {"f": module.f})
    converters.write(format, tmp_path / "saved", {"f": specs}, tmp_path)
    run = converters.opened(format, tmp_path, ["f"])
    x = np.array([-2.0, -1e-3, 0.5, 3.0], "float32")
    np.testing.assert_allclose(run("f", {"x": x})["y"], module.f(x)["y"], rtol=1e-5)
