"""Flows within TFP's inference, and TFP's bijectors within flows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import build_flow, max_difference, softplus_chain

import tfflows
from tfflows.bijectors import BijectorLayer
from tfflows.layers import AffineCoupling, Chain, Scale

tfb, tfd = tfp.bijectors, tfp.distributions

MEAN = np.array([1.0, -1.0], "float32")
COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.5]], "float32")
TARGET = tfd.MultivariateNormalTriL(MEAN, np.linalg.cholesky(COVARIANCE))


@pytest.mark.slow
def test_neutra_hmc_finds_the_moments_of_the_target():
    # Any diffeomorphism leaves the target as it is; a wrong log-det would move it.
    flow = build_flow("realnvp", size=0.5)
    # Scales to which the step size fits; random weights count as trained ones.
    flow.adapt(TARGET.sample(500, seed=0), again=True)
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.HamiltonianMonteCarlo(TARGET.log_prob, step_size=0.3, num_leapfrog_steps=3),
        bijector=flow.bijector,
    )

    @tf.function
    def run():
        return tfp.mcmc.sample_chain(
            400,
            current_state=tf.zeros([50, 2]),
            kernel=kernel,
            num_burnin_steps=50,
            trace_fn=lambda _, results: results.inner_results.is_accepted,
            seed=(1, 2),
        )

    states, accepted = run()
    states = states.numpy().reshape(-1, 2)
    assert np.mean(accepted) > 0.6
    assert max_difference(states.mean(0), MEAN) < 0.1
    assert max_difference(np.cov(states.T), COVARIANCE) < 0.2


@pytest.mark.slow
def test_variational_inference_trains_the_weights():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
    before = flow.get_weights()
    losses = tfp.vi.fit_surrogate_posterior(
        TARGET.log_prob,
        flow.distribution,
        optimizer=keras.optimizers.Adam(0.03),
        num_steps=60,
        sample_size=32,
        seed=(0, 1),
    )
    # The bound of a normalised target is 0.
    assert np.mean(losses[-5:]) < 0.3 * losses[0]
    assert np.mean(losses[-5:]) > -0.1
    changed = [max_difference(a, b) > 0 for a, b in zip(before, flow.get_weights(), strict=True)]
    assert sum(changed) >= len(flow.trainable_weights)
    assert max_difference(np.mean(flow.sample(4000, seed=0), 0), MEAN) < 0.5


def test_wrapped_bijector_shares_its_variables():
    layer = BijectorLayer(softplus_chain)
    layer.build((None, 3))
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == [(3,), (3,)]
    for weight in layer.trainable_weights:
        weight.assign([0.1, 0.2, 0.3])
    z = tf.random.normal([5, 3])
    other = tfb.Chain([tfb.Softplus(), tfb.Shift([0.1, 0.2, 0.3])])
    other = tfb.Chain([other, tfb.Scale(log_scale=[0.1, 0.2, 0.3])])
    x, log_det = layer.forward_and_log_det(z)
    np.testing.assert_allclose(x, other.forward(z), rtol=1e-6)
    np.testing.assert_allclose(log_det, other.forward_log_det_jacobian(z, 1), rtol=1e-5)
    expected = {id(weight._value) for weight in layer.trainable_weights}
    assert {id(variable) for variable in layer.bijector.trainable_variables} == expected


def test_wrapped_bijector_gives_no_stale_values():
    layer = BijectorLayer(softplus_chain)
    z = tf.ones([1, 3])
    held = layer.forward_and_log_det(z)
    layer.trainable_weights[0].assign([1.0, 2.0, 3.0])
    assert max_difference(layer.forward_and_log_det(z)[0], held[0]) > 0.1
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.forward_and_log_det(z)[0])
    assert np.all(tape.gradient(loss, layer.trainable_weights[0]._value) > 0.5)


def test_wrapped_bijector_is_trained_saved_and_loaded(tmp_path):
    conditioner = keras.layers.Dense(2, kernel_initializer="zeros")
    layers = [Scale(), AffineCoupling(conditioner), BijectorLayer(softplus_chain)]
    chain = Chain(layers)
    chain.build((None, 3))
    flow = tfflows.Flow(chain, (3,))
    x = np.random.default_rng(0).gamma(9.0, 0.5, size=(64, 3)).astype("float32")
    flow.compile(keras.optimizers.Adam(0.1))
    history = flow.fit(x, batch_size=32, epochs=5, verbose=0).history
    assert history["nll"][-1] < history["nll"][0] - 0.1
    for weight in layers[-1].trainable_weights:
        assert np.all(np.abs(weight) > 0.05), weight.path  # they start at zero

    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))
    np.testing.assert_array_equal(loaded.distribution.log_prob(x), flow.distribution.log_prob(x))


def test_wrapped_bijector_may_lack_variables_and_have_a_scalar_log_det():
    layer = BijectorLayer(lambda event_shape: tfb.Shift(2.0)(tfb.Scale(3.0)))
    x, log_det = layer.forward_and_log_det(tf.ones([4, 2]))
    np.testing.assert_allclose(x, np.full([4, 2], 5.0))
    np.testing.assert_allclose(log_det, np.full(4, 2 * np.log(3)), rtol=1e-6)
    assert layer.weights == []
