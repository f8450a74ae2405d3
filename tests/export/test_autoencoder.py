"""Exported autoencoders answer as they do in Python."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

import tfflows
from tfflows.vae import Gaussian, VampPrior


def bits_vae(**settings):
    return tfflows.VAE((4,), 2, name="vae", **settings)


MODELS = {
    "bits": bits_vae,
    "vamp": lambda: bits_vae(prior=VampPrior(3)),
    "flows": lambda: bits_vae(
        prior=tfflows.RealNVP((2,), num_couplings=2, hidden=(8,)),
        posterior=tfflows.IAF((2,), num_layers=2, hidden=(8,), context_dim=3),
    ),
    "float64": lambda: tfflows.VAE((4,), 2, observation=Gaussian(0.5), dtype="float64"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_signatures_are_the_methods(name, tmp_path):
    vae = MODELS[name]()
    randomize(vae, 0.3)
    vae.export(tmp_path / "1")
    model = tf.saved_model.load(tmp_path / "1")
    served = model.signatures
    assert set(served) == {"serving_default", "elbo", "encode", "decode", "sample"}
    x = np.eye(4).astype("float32" if vae.num_bits is None else "int32")
    seed = tf.constant([[1, 2], [3, 4], [1, 2], [5, 6]], tf.int64)
    z = served["encode"](x=x)["z"]
    np.testing.assert_allclose(z, vae.encode(x), atol=1e-5)
    np.testing.assert_allclose(served["serving_default"](x=x)["z"], z)
    np.testing.assert_allclose(served["decode"](z=z)["x"], vae.decode(z), atol=1e-5)
    drawn = served["sample"](seed=seed, temperature=tf.fill([4], 0.7))
    np.testing.assert_allclose(drawn["x"], vae.decode(drawn["z"]), atol=1e-5)
    np.testing.assert_allclose(drawn["z"][0], drawn["z"][2], rtol=1e-5)
    assert np.abs(drawn["z"][0] - drawn["z"][1]).max() > 1e-3
    # Of many seeds the ELBO is that of the model.
    rows = np.repeat(x[:1], 4000, 0)
    seeds = tf.constant(np.stack([np.arange(4000), np.zeros(4000)], 1), tf.int64)
    elbos = served["elbo"](x=rows, seed=seeds)["elbo"].numpy()
    ours = vae.elbo(rows, seed=0).numpy()
    error = np.hypot(elbos.std(), ours.std()) / np.sqrt(4000)
    assert abs(elbos.mean() - ours.mean()) < 5 * error + 1e-5
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["decode"](z=tf.fill([1, 2], np.nan))
    if vae.num_bits is not None:
        with pytest.raises(tf.errors.InvalidArgumentError):
            served["encode"](x=2 * x)


def test_other_formats_and_paths_that_exist(tmp_path):
    with pytest.raises(ValueError, match="exported as 'tf_saved_model', but found format='onnx'"):
        bits_vae().export(tmp_path / "1", format="onnx")
    with pytest.raises(FileExistsError, match="expects a new one"):
        bits_vae().export(tmp_path)


@pytest.mark.slow
def test_what_training_changed_is_exported(tmp_path):
    vae = bits_vae()
    vae.compile(keras.optimizers.Adam(0.1))
    vae.fit(np.eye(4, dtype=int), epochs=2, verbose=0)
    vae.export(tmp_path / "1")
    served = tf.saved_model.load(tmp_path / "1").signatures["encode"]
    x = np.eye(4, dtype="int32")
    np.testing.assert_allclose(served(x=x)["z"], vae.encode(x), atol=1e-5)
