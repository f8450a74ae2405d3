"""Reverse KL: its gradients, targets whose constants are known, and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

import tfflows
from tfflows.data.targets import TARGETS
from tfflows.training import ReverseKL


def normal(x):
    return -tf.reduce_sum(x**2, -1) / 2


def small_flow(**settings):
    keras.utils.set_random_seed(0)
    settings = {"num_couplings": 2, "hidden": (8,), "activation": "tanh", **settings}
    flow = tfflows.RealNVP((2,), **settings)
    flow.compile(keras.optimizers.Adam(5e-3))
    return flow


def weight_gradients(flow, loss):
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss(flow, tf.zeros([50, 2], flow.compute_dtype), seed=3)["loss"])
    return tape.gradient(value, [weight.value for weight in flow.trainable_weights])


def test_a_path_gradient_leaves_out_the_score_of_the_weights():
    flow = small_flow(dtype="float64")
    randomize(flow, 0.5)
    whole = weight_gradients(flow, ReverseKL(normal))
    path = weight_gradients(flow, ReverseKL(normal, path_gradient=True))
    # The samples of the step, at which the density depends on the weights.
    x = flow.decode(flow.draw_base(50, tfflows.random.stateless_seed(3)))
    with tf.GradientTape() as tape:
        log_q = tf.reduce_mean(flow.log_prob(x))
    score = tape.gradient(log_q, [weight.value for weight in flow.trainable_weights])
    for a, b, c in zip(whole, path, score, strict=True):
        np.testing.assert_allclose(a, b + c, rtol=1e-8, atol=1e-10)
    assert any(np.max(np.abs(part)) > 1e-3 for part in score)


def test_at_the_target_the_path_gradient_is_zero():
    flow = small_flow(dtype="float64")  # starts as the identity
    path = weight_gradients(flow, ReverseKL(normal, path_gradient=True))
    whole = weight_gradients(flow, ReverseKL(normal))
    assert max(np.max(np.abs(part)) for part in path) < 1e-14
    assert max(np.max(np.abs(part)) for part in whole) > 1e-3


@pytest.mark.parametrize("path_gradient", [False, True])
def test_the_bound_is_that_of_the_loss(path_gradient):
    flow = small_flow()
    values = ReverseKL(normal, path_gradient)(flow, tf.zeros([20, 2]), seed=0)
    np.testing.assert_allclose(values["elbo"], np.log(2 * np.pi), rtol=1e-5)
    np.testing.assert_allclose(values["loss"], -np.log(2 * np.pi), rtol=1e-5)


def banana(x):
    """5 plus the logarithm of a density."""
    return 5 + TARGETS["banana"].log_prob(x)


@pytest.mark.slow
def test_a_banana_is_found_and_its_constant():
    flow = small_flow(num_couplings=4, hidden=(32, 32))
    history = flow.fit_to(banana, epochs=5, steps_per_epoch=100, verbose=0).history
    assert history["elbo"][0] < history["elbo"][-1] < 5.01  # a bound, but for noise
    samples = tfflows.evaluate.importance_samples(flow, banana, 20_000)
    # Tails that no sample met have a few hundredths of the integral after so short a training.
    assert samples.log_evidence == pytest.approx(5, abs=0.1)
    # How large the effective sample size is rests with the few samples in these tails.
    assert np.median(np.abs(samples.log_weights - 5)) < 0.5


@pytest.mark.slow
def test_the_constant_of_two_moons():
    target = TARGETS["u1"]  # of the others, see benchmarks/posteriors.md
    keras.utils.set_random_seed(0)
    flow = tfflows.NSF((2,), num_layers=3, hidden=(32,), bound=6.0)
    for path_gradient, rate, annealing in ((False, 5e-3, 2), (True, 5e-4, 0)):
        flow.compile(keras.optimizers.Adam(rate))
        flow.fit_to(
            target.log_prob,
            epochs=4,
            steps_per_epoch=100,
            annealing_epochs=annealing,
            path_gradient=path_gradient,
            verbose=0,
        )
    samples = tfflows.evaluate.importance_samples(flow, target.log_prob, 20_000)
    # Standard errors are 0.001: tails that the flow does not reach are in no weight.
    assert samples.log_evidence == pytest.approx(target.log_evidence, abs=0.02)


def test_annealing_raises_the_power_of_the_target_over_the_first_epochs():
    seen = []

    def target(x):
        return tf.zeros_like(x[:, 0]) + 1.0

    flow = small_flow()
    probe = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["elbo"])
    )
    flow.fit_to(
        target,
        epochs=5,
        steps_per_epoch=1,
        annealing_epochs=3,
        callbacks=[probe],
        verbose=0,
        batch_size=20_000,
    )
    # The bound is that power, plus the entropy of what is nearly the base.
    np.testing.assert_allclose(np.diff(seen), [0.25, 0.25, 0.25, 0.0], atol=0.05)


def test_afterwards_a_flow_is_compiled_as_it_was(tmp_path):
    flow = small_flow()
    flow.compile(keras.optimizers.Adam(), run_eagerly=True, steps_per_execution=2)
    flow.fit_to(normal, epochs=1, steps_per_epoch=2, verbose=0)
    assert flow.loss == tfflows.training.losses.NegativeLogLikelihood()
    assert flow.run_eagerly and flow.steps_per_execution == 2
    flow.save(tmp_path / "flow.keras")
    assert keras.saving.load_model(tmp_path / "flow.keras").optimizer.iterations == 2
    assert "nll" in flow.fit(np.ones([8, 2], "float32"), verbose=0).history


def maf_with_norms():
    return compiled(tfflows.MAF((2,), num_layers=1, hidden=(8,), batch_normalization=True))


def compiled(flow):
    flow.compile()
    return flow


ERRORS = {
    "optimizer": (
        lambda: tfflows.RealNVP((2,), num_couplings=2).fit_to(normal, epochs=1),
        "no optimizer yet: call compile before fit_to",
    ),
    "pixels": (
        lambda: compiled(tfflows.NICE((2, 2, 1), num_bits=4)).fit_to(normal, epochs=1),
        "densities of continuous x, but .* pixels",
    ),
    "context": (
        lambda: small_flow(context_dim=2).fit_to(normal, epochs=1),
        "one target for all x, but .* conditional",
    ),
    "base": (
        lambda: small_flow(base=tfflows.distributions.GaussianMixture(3)).fit_to(normal, epochs=1),
        "cannot train the base of .*, <GaussianMixture.* trainable=False",
    ),
    "shape": (
        lambda: small_flow().fit_to(lambda x: -(x**2), epochs=1, steps_per_epoch=1, verbose=0),
        r"one number for each x, of shape \[batch\], but .* it returned .*2\)",
    ),
    "norm": (
        lambda: maf_with_norms().fit_to(normal, epochs=1, path_gradient=True),
        "path gradient needs one density for all batches, but .* has batch normalisation",
    ),
    "annealing": (
        lambda: small_flow().fit_to(normal, epochs=2, annealing_epochs=2),
        "annealing_epochs is 2: expected an integer of at least 0 and less than the 2 epochs",
    ),
    "nan": (
        lambda: small_flow().fit_to(lambda x: x[:, 0] * np.nan, epochs=1, verbose=0),
        "target_log_prob should be finite wherever the flow draws",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_was_found(name):
    fail, message = ERRORS[name]
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
        fail()
