"""Masked autoregressive, inverse autoregressive and neural spline flows."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

import tfflows
from tfflows.layers import Autoregressive, Coupling
from tfflows.layers.parts import layers_of_kind
from tfflows.transformers import Affine, LogisticMixture, RationalQuadraticSpline

SMALL = {"hidden": (8, 8), "num_layers": 3}


@pytest.mark.parametrize(
    "make",
    [
        lambda **settings: tfflows.MAF((1,), **settings),
        lambda **settings: tfflows.IAF((1,), transformer=RationalQuadraticSpline(), **settings),
        lambda **settings: tfflows.NSF((1,), autoregressive=True, **settings),
        lambda **settings: tfflows.NAF((1,), **settings),
    ],
    ids=["maf", "iaf", "nsf", "naf"],
)
def test_one_dimensional_densities_integrate_to_one(make):
    flow = make(**SMALL)
    randomize(flow, 0.5)
    x = np.linspace(-40, 40, 40001)[:, None]
    density = np.exp(flow.log_prob(x.astype("float32")))
    assert np.trapezoid(density, x[:, 0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("flow", "expected"), [(tfflows.MAF, "inverse"), (tfflows.IAF, "forward")])
def test_settings_reach_the_layers(flow, expected):
    made = flow(
        (3,),
        num_layers=2,
        hidden=(4, 4, 4),
        transformer=Affine(bound=None),
        activation="tanh",
        residual=True,
    )
    layer = layers_of_kind(made.transform, Autoregressive)[0]
    assert layer.one_pass == expected
    assert layer.transformer == Affine(bound=None)
    assert layer.conditioner.hidden == [4, 4, 4]
    assert layer.conditioner.residual and layer.conditioner.activation.__name__ == "tanh"


def test_settings_reach_the_mixtures():
    flow = tfflows.NAF((2,), num_layers=1, hidden=(5,), components=3, bound=4.0)
    layer = layers_of_kind(flow.transform, Autoregressive)[0]
    assert layer.transformer == LogisticMixture(3, 4.0)
    assert layer.conditioner.hidden == [5] and layer.one_pass == "inverse"


def test_settings_reach_the_splines():
    flow = tfflows.NSF((3,), num_layers=2, hidden=(5,), bins=4, bound=2.0, dropout=0.1)
    coupling = layers_of_kind(flow.transform, Coupling)[0]
    assert coupling.transformer == RationalQuadraticSpline(4, 2.0)
    assert coupling.conditioner.hidden == [5] and coupling.conditioner.dropout == 0.1
    flow = tfflows.NSF((3,), num_layers=2, hidden=(5,), bins=4, autoregressive=True)
    layer = layers_of_kind(flow.transform, Autoregressive)[0]
    assert layer.transformer == RationalQuadraticSpline(4)


def test_orders_alternate():
    # Two layers: the first dimension of the data sees none before it, and then all.
    flow = tfflows.MAF((3,), num_layers=2, hidden=(8,), activation="tanh", dtype="float64")
    randomize(flow, 0.3)
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = flow.encode(x)
    assert np.all(tape.jacobian(z, x, experimental_use_pfor=False) != 0)


@pytest.mark.parametrize("flow", [tfflows.MAF, tfflows.IAF, tfflows.NSF])
def test_vector_flow_starts_as_standardised_base(flow):
    made = flow((2,), **SMALL)
    x = 100 + 5 * np.random.default_rng(0).normal(size=(500, 2)).astype("float32")
    made.adapt(x)
    z = made.encode(x)
    np.testing.assert_allclose(np.mean(z, 0), [0, 0], atol=1e-3)
    # The linear layers of the NSF start as rotations.
    assert np.trace(np.cov(z, rowvar=False)) == pytest.approx(2, rel=0.01)


def banana(n, seed):
    """Points whose density is a closed form, and its mean negative logarithm in nats."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=n)
    points = np.stack([first, first**2 + 0.3 * rng.normal(size=n)], -1)
    return points.astype("float32"), math.log(2 * math.pi * math.e) + math.log(0.3)


@pytest.mark.slow
def test_maximum_likelihood_finds_a_density_of_a_closed_form():
    keras.utils.set_random_seed(0)
    x, entropy = banana(5000, 0)
    flow = tfflows.MAF((2,), num_layers=2, hidden=(32, 32))
    flow.compile(keras.optimizers.Adam(5e-3))
    flow.fit(x, batch_size=250, epochs=15, verbose=0)
    held_out, _ = banana(5000, 1)
    log_prob = flow.log_prob(held_out).numpy()
    error = log_prob.std() / math.sqrt(len(log_prob))
    # What is missed is a divergence, and not negative; a Gaussian with the covariance misses 1.57.
    assert -3 * error <= -log_prob.mean() - entropy <= 0.1


@pytest.mark.slow
def test_an_inverse_autoregressive_flow_finds_a_posterior():
    """Reverse KL by samples and their log_prob, both in one pass."""
    keras.utils.set_random_seed(0)
    flow = tfflows.IAF((2,), num_layers=2, hidden=(32, 32), transformer=Affine(3.0))

    def target(x):  # the banana's
        first, second = x[:, 0], x[:, 1]
        squares = first**2 + ((second - first**2) / 0.3) ** 2
        return -0.5 * squares - math.log(2 * math.pi) - math.log(0.3)

    optimizer = keras.optimizers.Adam(5e-3)
    variables = flow.trainable_variables

    @tf.function(autograph=False)
    def step(seed):
        with tf.GradientTape() as tape:
            x, log_prob = flow.sample_and_log_prob(256, seed=seed)
            loss = tf.reduce_mean(log_prob - target(x))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    for i in range(600):
        step(tf.constant([0, i]))
    x, log_prob = flow.sample_and_log_prob(10000, seed=[1, 0])
    divergence = np.mean(log_prob - target(x))
    assert -0.02 <= divergence <= 0.15


ERRORS = {
    "maf_permutation": (
        lambda: tfflows.MAF((2,), permutation="swap"),
        ["permutation is one of ('reverse', 'shuffle')", "found 'swap'"],
    ),
    "maf_shuffled_layers": (
        lambda: tfflows.MAF((2,), num_layers=0, permutation="shuffle"),
        ["num_layers", "found 0"],
    ),
    "maf_layers": (lambda: tfflows.MAF((2,), num_layers=0), ["num_layers", "found 0"]),
    "nsf_layers": (lambda: tfflows.NSF((2,), num_layers=0), ["num_layers", "found 0"]),
    "nsf_one": (lambda: tfflows.NSF((1,)), ["at least one dimension", "1 and 0 of 1"]),
    "nsf_dropout": (
        lambda: tfflows.NSF((2,), autoregressive=True, dropout=0.1),
        ["no dropout", "0.1"],
    ),
    "transformer": (lambda: tfflows.MAF((2,), transformer="affine"), ["Transformer", "'affine'"]),
    "hidden": (lambda: tfflows.MAF((9,), hidden=(4,)), ["at least 8 units"]),
}


@pytest.mark.parametrize(("fail", "words"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_was_found(fail, words):
    with pytest.raises(ValueError) as error:
        fail()
    for word in words:
        assert word in str(error.value)


def test_shuffled_orders_differ_and_are_the_same_in_a_copy():
    flow = tfflows.MAF((6,), num_layers=4, hidden=(8,), permutation="shuffle")
    orders = [tuple(layer.permutation) for layer in flow.transform.layers[1:8:2]]
    assert len(set(orders)) == 4
    copy = tfflows.MAF.from_config(flow.get_config())
    assert [tuple(layer.permutation) for layer in copy.transform.layers[1:8:2]] == orders


def test_batch_normalization_is_in_every_layer_and_trained():
    keras.utils.set_random_seed(0)
    flow = tfflows.MAF((2,), num_layers=3, hidden=(8,), batch_normalization=True)
    x = np.random.default_rng(0).normal(5.0, 3.0, [512, 2]).astype("float32")
    flow.compile("adam")
    flow.fit(x, batch_size=64, epochs=2, verbose=0)
    norms = [step.layers[2] for step in flow.transform.layers[0].steps]
    assert len(norms) == 3
    for norm in norms:
        assert np.all(np.abs(np.ravel(norm.variance) - 1) > 1e-4)
