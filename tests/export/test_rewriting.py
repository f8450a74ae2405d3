"""Functions that converters write wrongly, in forms that survive."""

import numpy as np
import pytest
import tensorflow as tf

from tfflows.export import rewriting

POINTS = np.concatenate([-np.geomspace(1e-30, 87, 500), [0], np.geomspace(1e-30, 3e38, 500)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("form", "truth", "low", "high"),
    [
        (rewriting.softplus, lambda x: np.logaddexp(0, x), -87, np.inf),
        (rewriting.log1p, np.log1p, -1, np.inf),
        (rewriting.expm1, np.expm1, -87, 88),
    ],
)
def test_forms_keep_their_digits(form, truth, low, high, dtype):
    x = POINTS.astype(dtype)
    x = x[(x > low) & (x < high)]
    np.testing.assert_allclose(form(tf.constant(x)), truth(x.astype("float64")), rtol=5e-7)


def test_operations_are_rewritten_wherever_they_are(tmp_path):
    factor = tf.Variable(2.0)
    called = tf.function(lambda x: factor * tf.math.softplus(x), autograph=False)

    def looped(i, x):
        return i + 1, tf.math.expm1(-tf.math.softplus(x))

    def function(x, c):
        y = called(x) + tf.math.log1p(tf.cast(tf.abs(c), tf.float32))
        _, y = tf.while_loop(lambda i, _: i < 3, looped, (0, y))
        return {"y": y, "c": tf.math.log_sigmoid(c)}

    specs = [tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None], tf.float64, "c")]
    module = tf.Module()
    module.factor = factor
    module.f = tf.function(function, specs, autograph=False).get_concrete_function()
    tf.saved_model.save(module, tmp_path, {"f": module.f})
    rewriting.rewrite(tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    graph = loaded.signatures["f"].graph.as_graph_def()
    nodes = [graph.node, *(part.node_def for part in graph.library.function)]
    operations = {node.op for part in nodes for node in part}
    assert "StatelessWhile" in operations
    assert not operations & {"Softplus", "Log1p", "Expm1"}
    x = tf.constant([-30.0, 0.5, 200.0])
    c = tf.constant([-500.0, 1e-3, 30.0], tf.float64)
    expected = module.f(x, c)
    for name, found in loaded.signatures["f"](x=x, c=c).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-6)
