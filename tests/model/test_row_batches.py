"""Calls in batches of rows give what one call gives."""

import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow, draw_context, draw_data

import tfflows


@pytest.mark.parametrize("name", ["realnvp_context", "nice_image_classes"])
def test_batches_give_what_one_call_gives(name):
    flow = build_flow(name)
    x, context = draw_data(flow, 7), draw_context(flow, 7)
    z = flow.encode(x, context, seed=1)
    calls = {
        "log_prob": lambda **kwargs: flow.log_prob(x, context, seed=1, **kwargs),
        "score": lambda **kwargs: flow.score(x, context, seed=1, **kwargs),
        "encode": lambda **kwargs: flow.encode(x, context, seed=1, **kwargs),
        "decode": lambda **kwargs: flow.decode(z, context, **kwargs),
        "sample": lambda **kwargs: flow.sample(7, seed=1, context=context, **kwargs),
    }
    for name, call in calls.items():
        np.testing.assert_allclose(call(batch_size=3), call(), rtol=1e-4, atol=1e-4, err_msg=name)
    x, log_prob = flow.sample_and_log_prob(7, seed=1, context=context, batch_size=3)
    expected = flow.sample_and_log_prob(7, seed=1, context=context)
    np.testing.assert_allclose(x, expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_prob, expected[1], rtol=1e-4, atol=1e-4)


def test_a_call_sees_no_more_rows_than_a_batch(monkeypatch):
    flow = build_flow("realnvp")
    flow.run_eagerly = True
    sizes = []
    inverse = flow.transform.inverse_pass
    monkeypatch.setattr(
        flow.transform, "inverse_pass", lambda x, call: [sizes.append(len(x)), inverse(x, call)][1]
    )
    flow.log_prob(np.zeros([10, 2]), batch_size=4)
    assert sizes == [4, 4, 2]


def test_bad_batch_sizes_are_named():
    flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))
    for size in (0, 2.5):
        with pytest.raises(ValueError, match=f"integer of at least 1, but found {size}"):
            flow.sample(3, batch_size=size)
    with pytest.raises(ValueError, match="from plain Python; leave it out in a graph"):
        tf.function(lambda x: flow.log_prob(x, batch_size=2), autograph=False)(tf.zeros([4, 2]))
