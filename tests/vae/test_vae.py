"""Autoencoders as Keras models: fitting, sampling, saving, networks of any kind, bad input."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_gaussian import LinearGaussian

import tfflows
from tfflows.vae import (
    ELBO,
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Gaussian,
    ImportanceWeightedBound,
)


def bits(n=128, dim=6, seed=0):
    """Binary rows of two kinds, with some noise."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(2, size=(n, 1))
    return (kinds ^ (rng.uniform(size=(n, dim)) < 0.1)).astype("uint8")


def small(event_shape=(6,), latent_dim=2, rate=0.01, loss=None, **settings):
    keras.utils.set_random_seed(0)
    vae = tfflows.VAE(event_shape, latent_dim, name="vae", **settings)
    vae.compile(keras.optimizers.Adam(rate), loss)
    return vae


def small_images(**settings):
    encoder = tfflows.vae.conv_encoder((5, 6, 1), 4, filters=(4, 8), units=16)
    shape = settings["observation"].output_shape((5, 6, 1))
    decoder = tfflows.vae.conv_decoder(2, shape, filters=(8, 4), units=16)
    return small((5, 6, 1), encoder=encoder, decoder=decoder, **settings)


def images(num_bits, n=64):
    rng = np.random.default_rng(0)
    bright = rng.integers(2, size=(n, 1, 1, 1)) * (2**num_bits - 1)
    noise = rng.integers(-1, 2, size=(n, 5, 6, 1)) * (num_bits > 1)
    return np.clip(bright + noise, 0, 2**num_bits - 1)


def test_fit_raises_the_bound_and_reports_it():
    vae, x = small(), bits()
    history = vae.fit(x, epochs=25, batch_size=32, validation_data=(bits(seed=1),), verbose=0)
    history = history.history
    names = {"loss", "elbo", "reconstruction", "kl", "bits_per_dim"}
    assert set(history) == names | {f"val_{name}" for name in (*names, "active_units")}
    assert history["elbo"][0] + 0.8 < history["elbo"][-1]
    exact = -np.log(2) + 6 * (0.1 * np.log(0.1) + 0.9 * np.log(0.9))  # of telling the kinds apart
    assert exact - 1.5 < history["val_elbo"][-1] < exact + 0.5
    assert history["val_active_units"][-1] in (1, 2)
    for name in ("", "val_"):
        np.testing.assert_allclose(
            history[f"{name}elbo"],
            -np.add(history[f"{name}reconstruction"], history[f"{name}kl"]),
            rtol=1e-5,
        )
        scale = 6 * np.log(2)
        np.testing.assert_allclose(
            history[f"{name}bits_per_dim"], -np.divide(history[f"{name}elbo"], scale), rtol=1e-5
        )


@pytest.mark.slow
def test_evaluation_meets_the_same_noise_each_time():
    vae, x = small(loss=ImportanceWeightedBound(5)), bits()
    vae.fit(x, verbose=0)
    first, second = (vae.evaluate(x, verbose=0, return_dict=True) for _ in range(2))
    assert first == second
    assert first["loss"] == pytest.approx(-first["importance_weighted_bound"])
    assert first["importance_weighted_bound"] > first["elbo"]


@pytest.mark.slow
def test_equal_seeds_of_keras_give_equal_trainings():
    def fitted(seed):
        vae = small()
        keras.utils.set_random_seed(seed)
        return vae.fit(bits(), epochs=2, verbose=0).history["loss"]

    first, again, other = fitted(1), fitted(1), fitted(2)
    assert first == again != other


@pytest.mark.slow
def test_dropout_follows_keras_seed_too():
    def fitted():
        keras.utils.set_random_seed(0)
        encoder = keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(4)])
        return small(encoder=encoder).fit(bits(), epochs=2, verbose=0).history["loss"]

    assert fitted() == fitted()


def test_weights_of_examples():
    vae, x = small(), bits()
    weights = np.zeros(len(x))
    weights[:32] = 2.0
    found = vae.evaluate(x, sample_weight=weights, verbose=0, batch_size=32, return_dict=True)
    first = vae.evaluate(x[:32], verbose=0, batch_size=32, return_dict=True)
    assert found["elbo"] == pytest.approx(first["elbo"], rel=1e-5)
    assert found["active_units"] == first["active_units"]


@pytest.mark.slow
def test_data_sets_and_batches_are_taken_as_flows_take_them():
    x = bits()
    data = tf.data.Dataset.from_tensor_slices(x).batch(32)
    losses = [small().fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]]
    losses.append(small().fit(x, epochs=2, batch_size=32, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-6)
    vae = small()
    assert np.isfinite(vae.train_on_batch(x, return_dict=True)["elbo"])
    assert np.isfinite(vae.test_on_batch(x, return_dict=True)["elbo"])
    np.testing.assert_allclose(vae.predict(x, verbose=0).shape, (128,))


@pytest.mark.compiled
@pytest.mark.slow
def test_compiled_calls_are_the_eager_ones():
    vae, x = small(), bits(10)
    calls = {
        "elbo": lambda: vae.elbo(x, 1, num_samples=2),
        "log_weights": lambda: vae.log_weights(x, 1, num_samples=2),
        "encode": lambda: vae.encode(x),
        "draw": lambda: vae.encode(x, 1),
        "decode": lambda: vae.decode(np.ones([3, 2])),
        "sample": lambda: vae.sample(4, seed=1),
        "mean": lambda: vae.sample(4, 0.5, seed=1, mean=True),
    }
    compiled = {name: call().numpy() for name, call in calls.items()}
    vae.run_eagerly = True
    for name, call in calls.items():
        np.testing.assert_allclose(compiled[name], call().numpy(), rtol=1e-5, atol=1e-6)


def test_networks_follow_keras_policy_and_end_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    for shape in ((6,), (4, 4, 1)):
        vae = tfflows.VAE(shape, 2)
        assert vae.decoder.layers[0].compute_dtype == "bfloat16"
        assert vae.decoder(tf.ones([3, 2])).dtype == vae.encoder(tf.ones([3, *shape])).dtype
        assert vae.decoder(tf.ones([3, 2])).dtype == vae.elbo(np.ones([3, *shape], int)).dtype
        assert vae.compute_dtype == "float32"


def test_rows_in_batches():
    vae, x = small(), bits(11)
    np.testing.assert_allclose(vae.encode(x, batch_size=4), vae.encode(x), atol=1e-6)
    np.testing.assert_allclose(vae.reconstruct(x, batch_size=4), vae.reconstruct(x), atol=1e-6)
    # The noise is that of all rows.
    np.testing.assert_allclose(vae.encode(x, 0, batch_size=4), vae.encode(x, 0), atol=1e-6)
    np.testing.assert_allclose(vae.elbo(x, 0, batch_size=4), vae.elbo(x, 0), rtol=1e-5)
    weights = vae.log_weights(x, 0, num_samples=3)
    assert weights.shape == (11, 3)
    np.testing.assert_allclose(vae.log_weights(x, 0, 3, batch_size=4), weights, rtol=1e-5)


def test_samples_are_those_of_the_model():
    model = LinearGaussian(orthogonal=True)
    vae = model.exact_vae()
    x = vae.sample(20_000, seed=0).numpy()
    covariance = model.w @ model.w.T + 0.49 * np.eye(5)
    np.testing.assert_allclose(x.mean(0), model.b, atol=0.06)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.1)
    means = vae.sample(20_000, seed=0, mean=True).numpy()
    np.testing.assert_allclose(np.cov(means.T), model.w @ model.w.T, atol=0.1)
    centre = vae.sample(3, temperature=0.0, seed=0, mean=True)
    np.testing.assert_allclose(centre, np.tile(model.b, (3, 1)), atol=1e-5)
    np.testing.assert_array_equal(vae.sample(5, seed=3), vae.sample(5, seed=3))
    assert np.any(vae.sample(5, seed=3) != vae.sample(5, seed=4))


def test_encoding_draws_from_the_posterior():
    model = LinearGaussian(orthogonal=True)
    vae, x = model.exact_vae(), np.repeat(model.sample(1), 20_000, 0)
    z = vae.encode(x, seed=0).numpy()
    np.testing.assert_allclose(z.mean(0), model.gain @ (x[0] - model.b), atol=0.02)
    np.testing.assert_allclose(np.cov(z.T), model.posterior_covariance, atol=0.02)


MODELS = {
    "bits": lambda: (small(), bits()),
    "gaussian": lambda: (small((3,), observation=Gaussian()), np.ones([64, 3], "float32")),
    "binary images": lambda: (small_images(observation=Bernoulli()), images(1)),
    "categorical": lambda: (small_images(observation=Categorical(2)), images(2)),
    "logistics": lambda: (
        small_images(observation=DiscretizedLogisticMixture(2, num_bits=3)),
        images(3),
    ),
    "functional": lambda: (small(encoder=functional(), loss=ELBO(beta=0.5)), bits()),
    "default images": lambda: (small((4, 4, 1)), images(1)[:, :4, :4]),
    "float64": lambda: (small((3,), observation=Gaussian(), dtype="float64"), np.eye(3)),
}


def functional():
    x = keras.Input((6,))
    h = keras.layers.Dense(8, "tanh")(x)
    return keras.Model(x, keras.layers.Dense(4)(keras.layers.concatenate([x, h])))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_any_model_fits_saves_and_loads(name, tmp_path):
    vae, x = MODELS[name]()
    first = vae.evaluate(x, verbose=0, return_dict=True)["elbo"]
    vae.fit(x, epochs=8, batch_size=16, verbose=0)
    assert vae.evaluate(x, verbose=0, return_dict=True)["elbo"] > first
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    assert type(loaded) is tfflows.VAE and loaded.observation == vae.observation
    assert loaded.loss == vae.loss and loaded.optimizer.iterations == vae.optimizer.iterations
    np.testing.assert_allclose(loaded.elbo(x, seed=1), vae.elbo(x, seed=1), rtol=1e-5)
    np.testing.assert_allclose(loaded.sample(3, seed=1), vae.sample(3, seed=1), rtol=1e-5)
    sample, means = vae.sample(3, seed=0), vae.reconstruct(x[:3])
    assert sample.shape[1:] == x.shape[1:] == means.shape[1:]
    assert sample.dtype == (tf.int32 if x.dtype.kind in "iu" else vae.compute_dtype)
    assert means.dtype == vae.compute_dtype
    loaded.fit(x, epochs=1, verbose=0)
    vae.save_weights(tmp_path / "vae.weights.h5")
    other = tfflows.VAE.from_config(vae.get_config())
    other.load_weights(tmp_path / "vae.weights.h5")
    np.testing.assert_allclose(other.encode(x), vae.encode(x), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [ELBO(free_bits=0.3, warm_up_steps=5), ImportanceWeightedBound(3)])
def test_training_on_two_replicas_equals_one_device(loss, two_replicas):
    def fitted():
        vae = small(loss=loss)
        vae.compile(keras.optimizers.SGD(1e-3), loss)
        history = vae.fit(bits(), epochs=2, batch_size=32, shuffle=False, verbose=0).history
        return vae, history, vae.evaluate(bits(), batch_size=32, verbose=0, return_dict=True)

    single, history, figures = fitted()
    with two_replicas.scope():
        mirrored, mirrored_history, mirrored_figures = fitted()
    for ours, theirs in zip(single.weights, mirrored.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    for name in history:
        np.testing.assert_allclose(mirrored_history[name], history[name], rtol=1e-4)
    for name in figures:
        assert mirrored_figures[name] == pytest.approx(figures[name], rel=1e-4)


@pytest.mark.slow
def test_free_bits_keep_a_posterior_from_collapse():
    """Of x that one bit tells all of, with a decoder that starts knowing nothing of z."""
    x = bits()

    def divergence(**settings):
        vae = small(loss=ELBO(**settings), rate=0.02)
        vae.fit(x, epochs=20, batch_size=32, verbose=0)
        return tfflows.evaluate.latent_usage(vae, x)

    assert divergence(beta=20.0).kl_per_dimension.sum() < 0.05
    assert divergence(beta=20.0).active_units == 0
    assert divergence(beta=20.0, free_bits=0.3).kl_per_dimension.min() > 0.1


BAD = {
    "pixels out of range": (
        lambda: small().fit(3 * bits()),
        r"\[0, 2\).* found values from 0 to 3",
    ),
    "grey values": (lambda: small().fit(bits() / 2), "Bernoulli.*integers.*found dtype float64"),
    "shape": (lambda: small().elbo(bits(dim=5)), r"expected x of shape \('batch', 6\)"),
    "no rows": (lambda: small().fit(bits(0)), "empty batch"),
    "nan": (
        lambda: small((2,), observation=Gaussian()).fit(np.full([4, 2], np.nan)),
        "needs finite x, but 8 of 8",
    ),
    "targets": (lambda: small().fit(bits(), bits()), r"call fit\(x\), without targets"),
    "class weights": (
        lambda: small().fit(bits(), class_weight={0: 1.0}),
        "no classes .* use sample_weight",
    ),
    "z": (lambda: small().decode(np.ones([3, 4])), r"expected z of shape \('batch', 2\)"),
    "n": (lambda: small().sample(0), "n of at least 1, but found 0"),
    "temperature": (lambda: small().sample(2, -1.0), "at least 0, but found -1"),
    "number of samples": (lambda: small().elbo(bits(), num_samples=0), "at least 1, but found 0"),
    "encoder": (
        lambda: small(encoder=keras.layers.Dense(3)),
        r"encoder that returns \('batch', 4\), the parameters of DiagonalGaussian\(\) for "
        r"latent_dim=2, but that of 'dense.*' has shape \('batch', 3\)",
    ),
    "decoder": (
        lambda: small(decoder=keras.layers.Dense(5)),
        r"decoder that returns \('batch', 6\), the parameters of Bernoulli\(\), but .* 5\)",
    ),
    "no layer": (lambda: small(encoder=lambda x: x), "takes a Keras 3 layer as its encoder"),
    "latent_dim": (lambda: small(latent_dim=0), "latent_dim must be at least 1, but found 0"),
    "observation": (lambda: small(observation=3), "such as Bernoulli.* found 3"),
    "class": (lambda: small(observation=Bernoulli), r"make one: Bernoulli\(\)"),
    "function": (
        lambda: small(decoder=keras.layers.Dense(6), observation=lambda h: h),
        "must return a tfd.Distribution",
    ),
    "no decoder": (lambda: small(observation=lambda h: h), "needs a decoder, since"),
    "prior": (lambda: small(prior="uniform"), "Base or one of .*normal.*found 'uniform'"),
    "posterior": (lambda: small(posterior="full"), "such as DiagonalGaussian.* found 'full'"),
    "dtype": (lambda: small(dtype="float16"), "'float32' or 'float64', but found 'float16'"),
    "loss": (lambda: small(loss="mse"), r"such as ELBO\(beta=0.5\), but found 'mse'"),
    "metrics": (lambda: small().compile("adam", metrics=["mse"]), "compiled with metrics"),
    "beta": (lambda: ELBO(beta=-1.0), "ELBO's beta must be .* found -1"),
    "samples": (lambda: ImportanceWeightedBound(0), "positive integer num_samples, but found 0"),
    "scale": (lambda: Gaussian(scale=0.0), "positive finite scale, but found 0"),
    "min_scale": (lambda: Gaussian(min_scale=0.0), "positive finite min_scale, but found 0"),
    "bits": (lambda: Categorical(9), "num_bits from 1 to 8, but found 9"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_error(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_training_that_diverges_says_so():
    vae = small((2,), observation=Gaussian(scale=1e-3), rate=1e6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="ELBO of vae should be finite"):
        vae.fit(np.ones([64, 2], "float32"), epochs=20, batch_size=8, verbose=0)
