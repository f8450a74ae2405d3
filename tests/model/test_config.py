"""What is saved of a flow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfflows


def flow_of(**settings):
    return tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), **settings)


def test_what_saves_loads(tmp_path):
    flow_of(activation=keras.activations.silu).save(tmp_path / "silu.keras")
    loaded = keras.models.load_model(tmp_path / "silu.keras")
    assert loaded.get_config()["activation"] == "silu"
    for name in ("flow.h5", "flow.hdf5"):
        with pytest.raises(ValueError, match="ends with .keras, or use save_weights"):
            flow_of().save(tmp_path / name)
    assert not [*tmp_path.glob("*.h*5")]


def test_a_fitted_flow_is_exported_by_keras_method(tmp_path):
    flow, x = flow_of(), np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    flow.compile("sgd")
    flow.fit(x, verbose=0)
    flow.export(tmp_path / "model")
    served = tf.saved_model.load(tmp_path / "model").signatures["log_prob"](x=tf.constant(x))
    np.testing.assert_allclose(served["log_prob"], flow.log_prob(x), rtol=1e-4, atol=1e-4)
