"""What is trained is saved, and what is saved is trained or state: no weight gets lost."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import FLOWS, build_flow, draw_context, draw_points


def variables_of(flow, x, context):
    """Ids of the trainable variables that a density and a sample read."""
    flow.run_eagerly = True
    with tf.GradientTape() as tape:
        flow.log_prob(x, context, training=True)
        flow.sample(len(x), seed=0, context=context)
    return {id(variable) for variable in tape.watched_variables()}


def trained(flow, x, context):
    flow.compile(keras.optimizers.SGD(1e-3, clipnorm=1.0))
    flow.run_eagerly = False
    flow.train_on_batch(x, context)


def saved(flow, path):
    """The flow after a round trip, with other random numbers in between."""
    flow.save(path)
    keras.utils.set_random_seed(99)
    return keras.models.load_model(path)


ORDERS = ["train, save", "save, train, save", "train, save, train, save"]
# One order of each flow, in turn, and all of one flow.
CASES = [(name, ORDERS[i % len(ORDERS)]) for i, name in enumerate(FLOWS)]
CASES += [("generic", order) for order in ORDERS if ("generic", order) not in CASES]


@pytest.mark.slow
@pytest.mark.parametrize("name, order", CASES)
def test_no_weight_is_trained_but_not_saved_or_saved_but_not_trained(name, order, tmp_path):
    flow = build_flow(name, size=0.2)
    x, context = draw_points(flow, 4), draw_context(flow, 4)
    pixels = x if flow.num_bits is None else np.zeros(x.shape, "int32")
    for k, step in enumerate(order.split(", ")):
        if step == "train":
            trained(flow, pixels, context)
            continue
        before = flow.get_weights()
        loaded = saved(flow, tmp_path / f"{k}.keras")
        for old, new in zip(before, loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)
        expected = flow.log_prob(x, context)
        np.testing.assert_allclose(loaded.log_prob(x, context), expected, rtol=1e-5, atol=1e-5)
        flow = loaded
    own = {id(weight.value): weight.path for weight in flow.trainable_weights}
    used = variables_of(flow, x, context)
    assert used <= set(own), "a variable is trained that the flow does not know"
    unused = {path for key, path in own.items() if key not in used}
    # Of a dequantizer, which only integers meet.
    assert not {path for path in unused if flow.num_bits is None}, unused
