"""Bases have the densities that they name, draw from them, train, save and serve."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import randomize

import tfflows
from tfflows import export
from tfflows.distributions import (
    DistributionBase,
    GaussianMixture,
    Logistic,
    Normal,
    PerLevel,
    StudentT,
)
from tfflows.layers import Pass
from tfflows.random.noise import BatchNoise, RowNoise

tfd = tfp.distributions
N = 4000


@keras.saving.register_keras_serializable(package="tests")
def gumbel(shape):
    scale = tfp.util.TransformedVariable(2 * tf.ones(shape), tfp.bijectors.Softplus())
    return tfd.Independent(tfd.Gumbel(1.0, scale), len(shape))


def gumbel_scales(base):
    return np.log1p(np.exp(base.distribution_weights[0].numpy().reshape(-1)))


BASES = {
    "normal": lambda **settings: Normal(**settings),
    "logistic": lambda **settings: Logistic(**settings),
    "student_t": lambda **settings: StudentT(3.0, trainable=True, **settings),
    "mixture": lambda **settings: GaussianMixture(3, **settings),
    "distribution": lambda **settings: DistributionBase(gumbel, **settings),
}


def built(name, shape=(2,)):
    base = BASES[name]()
    base.build(shape)
    if not isinstance(base, StudentT):  # whose df near 1 would hide a missing factor
        randomize(base, size=0.3)
    return base


def marginal_cdf(base):
    """Of the first number of z, by SciPy."""
    if isinstance(base, Normal):
        return scipy.stats.norm.cdf
    if isinstance(base, Logistic):
        return scipy.stats.logistic.cdf
    if isinstance(base, StudentT):
        return scipy.stats.t(base.df.numpy().reshape(-1)[0]).cdf
    if isinstance(base, GaussianMixture):
        weights = scipy.special.softmax(base.logits.numpy())
        means, scales = base.means.numpy()[:, 0], np.exp(base.log_scales.numpy()[:, 0])
        return lambda z: scipy.stats.norm.cdf((z[:, np.newaxis] - means) / scales) @ weights
    return scipy.stats.gumbel_r(1.0, gumbel_scales(base)[0]).cdf


def densities(base, z):
    """Those of all numbers of z, by SciPy, in float64."""
    z = z.reshape(len(z), -1)
    if isinstance(base, Normal):
        return scipy.stats.norm.logpdf(z).sum(1)
    if isinstance(base, Logistic):
        return scipy.stats.logistic.logpdf(z).sum(1)
    if isinstance(base, StudentT):
        return scipy.stats.t(base.df.numpy().reshape(-1)).logpdf(z).sum(1)
    if isinstance(base, GaussianMixture):
        weights = scipy.special.log_softmax(base.logits.numpy())
        scales = np.exp(base.log_scales.numpy())
        rows = scipy.stats.norm(base.means.numpy(), scales).logpdf(z[:, np.newaxis]).sum(-1)
        return scipy.special.logsumexp(rows + weights, axis=1)
    return scipy.stats.gumbel_r(1.0, gumbel_scales(base)).logpdf(z).sum(1)


def row_seeds(n):
    return tf.stack([tf.range(n, dtype=tf.int64), tf.ones(n, tf.int64)], axis=1)


def noises(n):
    return BatchNoise(n, [0, 1], "float32"), RowNoise(row_seeds(n), "float32")


@pytest.mark.parametrize("shape", [(2,), (2, 1, 2)])
@pytest.mark.parametrize("name", BASES)
def test_log_prob_is_that_of_scipy(name, shape):
    base = built(name, shape)
    z = np.random.default_rng(0).normal(size=(50, *shape), scale=2).astype("float32")
    # The base's own, which a normal and a logistic one compute without TFP, and TFP's.
    found = base.log_prob(z, Pass())
    np.testing.assert_allclose(base.distribution.log_prob(z), found, rtol=1e-6)
    np.testing.assert_allclose(found, densities(base, z.astype("float64")), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["batch", "rows"])
@pytest.mark.parametrize("name", BASES)
def test_draws_have_the_distribution(name, kind):
    base = built(name, (2, 2))
    z = tf.function(lambda: base.draw(noises(N)[kind == "rows"]))().numpy()
    assert z.shape == (N, 2, 2)
    assert scipy.stats.kstest(z[:, 0, 0], marginal_cdf(base)).pvalue > 0.01
    # The mean density of what was drawn is the same from two generators, if both are right.
    other = base.distribution.sample(N, seed=[3, 4])
    entropies = [-base.distribution.log_prob(values).numpy() for values in (z, other)]
    error = np.hypot(*(np.std(values) / np.sqrt(N) for values in entropies))
    assert abs(np.mean(entropies[0]) - np.mean(entropies[1])) < 4 * error


@pytest.mark.parametrize("name", BASES)
def test_a_row_is_a_function_of_its_seed_alone(name):
    base = built(name)
    seeds = tf.constant([[1, 2], [3, 4], [1, 2]], tf.int64)
    z = base.draw(RowNoise(seeds, "float32")).numpy()
    np.testing.assert_array_equal(z[0], z[2])
    assert np.all(z[0] != z[1])
    np.testing.assert_allclose(base.draw(RowNoise(seeds[1:], "float32")), z[1:], rtol=1e-6)


@pytest.mark.parametrize("name", BASES)
def test_temperature_scales_what_deviates(name):
    base = built(name)
    for noise in noises(5):
        z = base.draw(noise).numpy()
        half, centre = base.draw(noise, 0.5).numpy(), base.draw(noise, 0.0).numpy()
        np.testing.assert_allclose(half - centre, 0.5 * (z - centre), rtol=1e-5, atol=1e-6)
        per_row = base.draw(noise, np.array([[1], [0], [1], [1], [1]], "float32")).numpy()
        np.testing.assert_allclose(per_row[:3], [z[0], centre[1], z[2]], rtol=1e-6)
    if isinstance(base, GaussianMixture):
        assert all(np.any(np.all(row == base.means.numpy(), axis=1)) for row in centre)
    else:
        assert np.all(centre == 0)


def test_parts_of_noise_are_independent():
    for noise in noises(N):
        parts = [noise, noise.part(0), noise.part(1), noise.part(0).part(1), noise.part(1).part(0)]
        values = np.stack([part.normal(1).numpy()[:, 0] for part in parts])
        correlations = np.corrcoef(values) - np.eye(len(parts))
        assert np.abs(correlations).max() < 4 / np.sqrt(N)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["student_t", "mixture", "distribution"])
def test_flows_train_their_base_and_save_it(name, tmp_path):
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,), base=BASES[name]())
    before = [weight.numpy() for weight in flow.base_layer.trainable_weights]
    x = np.random.default_rng(0).standard_t(1.5, size=(512, 2)).astype("float32")
    flow.compile(keras.optimizers.Adam(0.02))
    history = flow.fit(x, epochs=3, batch_size=64, verbose=0).history["nll"]
    assert history[-1] < history[0]
    moved = [weight.numpy() for weight in flow.base_layer.trainable_weights]
    assert before and all(np.any(a != b) for a, b in zip(before, moved, strict=True))

    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert type(loaded.base_layer) is type(flow.base_layer)
    np.testing.assert_array_equal(loaded.log_prob(x[:9]), flow.log_prob(x[:9]))
    np.testing.assert_array_equal(loaded.sample(3, seed=0), flow.sample(3, seed=0))
    # Another checkpoint format, which finds weights by the names of attributes.
    path = tf.train.Checkpoint(model=flow).write(str(tmp_path / "checkpoint"))
    other = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,), base=BASES[name]())
    tf.train.Checkpoint(model=other).read(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(other.log_prob(x[:9]), flow.log_prob(x[:9]))


def test_a_frozen_base_stays():
    flow = tfflows.RealNVP(
        (2,), num_couplings=1, hidden=(4,), base=GaussianMixture(2, trainable=False)
    )
    assert not flow.base_layer.trainable_weights
    means = flow.base_layer.means.numpy()
    flow.compile("adam")
    flow.fit(np.ones([8, 2], "float32"), verbose=0)
    np.testing.assert_array_equal(flow.base_layer.means.numpy(), means)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_exports_draw_from_the_base(name, tmp_path):
    flow = tfflows.Flow(tfflows.layers.Scale(), (2,), base=BASES[name]())
    randomize(flow, size=0.3)
    export.save(flow, tmp_path / "served")
    served = tf.saved_model.load(tmp_path / "served").signatures["sample"]
    drawn = served(seed=row_seeds(N), temperature=tf.ones(N))
    z = flow.encode(drawn["x"]).numpy()
    assert scipy.stats.kstest(z[:, 0], marginal_cdf(flow.base_layer)).pvalue > 0.01
    np.testing.assert_allclose(drawn["log_prob"], flow.log_prob(drawn["x"]), rtol=1e-4, atol=1e-4)


def make_glow(base):
    return tfflows.Glow((4, 4, 1), levels=2, steps=1, width=4, base=base)


@pytest.mark.slow
def test_levels_have_bases_of_their_own(tmp_path):
    base = PerLevel([StudentT(2.5, trainable=True), Normal()])
    flow = make_glow(base)
    randomize(flow, size=0.1)
    x = np.random.default_rng(0).uniform(0, 256, size=(5, 4, 4, 1)).astype("float32")
    z, log_det = flow.transform.inverse_and_log_det(x)
    multiscale = flow.transform.layers[0]
    coarse, fine = (part.numpy().reshape(5, -1) for part in multiscale.split(z))
    df = base.bases[0].df.numpy()
    expected = scipy.stats.t(df).logpdf(coarse).sum(1) + scipy.stats.norm.logpdf(fine).sum(1)
    np.testing.assert_allclose(flow.log_prob(x), expected + log_det, rtol=1e-5)

    z = np.concatenate([flow.draw_base(N, [0, 1]).numpy(), base.draw(noises(N)[1]).numpy()])
    assert z.shape == (2 * N, 16)
    for i, cdf in ((0, scipy.stats.t(df[0]).cdf), (15, scipy.stats.norm.cdf)):
        for half in np.split(z[:, i], 2):
            assert scipy.stats.kstest(half, cdf).pvalue > 0.01
    for half in np.split(z, 2):  # the levels are independent
        assert abs(scipy.stats.spearmanr(half[:, 0], half[:, 8]).statistic) < 4 / np.sqrt(N)

    few = base.draw(noises(2)[1]).numpy()
    factors = np.array([3.0] * 8 + [0.5] * 8, "float32")
    np.testing.assert_allclose(base.draw(noises(2)[1], factors), few * factors, rtol=1e-6)

    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))


def vector(base, **settings):
    return tfflows.RealNVP((2,), num_couplings=1, hidden=(4,), base=base, **settings)


def used():
    base = Normal()
    base.build((3,))
    return vector(base)


BAD = {
    "a name": (lambda: vector("cauchy"), r"\['logistic', 'normal'\], but found 'cauchy'"),
    "a class": (lambda: vector(Normal), "base must be a tfflows.distributions.Base"),
    "dtype": (lambda: vector(Normal(), dtype="float64"), "float64, but its base has dtype float32"),
    "used": (used, r"built for latents of shape \(3,\), .* shape \(2,\); make a new base"),
    "df": (lambda: StudentT(0.0), "positive and finite df, but found 0.0"),
    "components": (lambda: GaussianMixture(0), "num_components of at least 1, but found 0"),
    "spread": (lambda: GaussianMixture(2, -1.0), "spread of at least 0, but found -1.0"),
    "no distribution": (
        lambda: vector(DistributionBase(lambda shape: None)),
        "must return a tfd.Distribution, but it returned None",
    ),
    "event shape": (
        lambda: vector(DistributionBase(lambda shape: tfd.Normal(tf.zeros(shape), 1.0))),
        r"event shape \(2,\) and batch shape \(\), but 'Normal' has \(\) and \(2,\)",
    ),
    "distribution's dtype": (
        lambda: vector(DistributionBase(lambda s: tfd.Sample(tfd.Normal(np.float64(0), 1), s))),
        "computes in float32, but 'SampleNormal' has dtype float64",
    ),
    "no levels": (lambda: vector(PerLevel([Normal()])), "MultiScale, but found none"),
    "levels": (lambda: make_glow(PerLevel([Normal()])), "each of the 2 levels, but found 1"),
    "no bases": (lambda: PerLevel(["normal"]), "PerLevel takes bases, but found 'normal'"),
    "level's dtype": (
        lambda: PerLevel([Normal(dtype="float64")]),
        "PerLevel computes in float32, but its base .* has dtype float64",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bases_are_refused(name):
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        make()
