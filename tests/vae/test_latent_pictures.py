"""Pictures of latents."""

import keras
import numpy as np
import pytest
from linear_gaussian import LinearGaussian

import tfflows
from tfflows import plots
from tfflows.vae import Gaussian


def test_the_panels_are_draws_of_both_distributions(tmp_path):
    vae = LinearGaussian(orthogonal=True).exact_vae()
    x = np.random.default_rng(0).normal(size=(50, 5))
    figure = plots.figure_of_latents(vae, x, seed=3)
    posterior, prior = (np.asarray(axes.collections[0].get_offsets()) for axes in figure.axes)
    np.testing.assert_allclose(posterior, vae.encode(x, seed=3), rtol=1e-5)
    np.testing.assert_allclose(prior, vae.sample_latents(50, seed=3), rtol=1e-5)
    np.testing.assert_allclose(
        vae.decode(prior), vae.sample(50, seed=3, mean=True), rtol=1e-4, atol=1e-5
    )
    path = plots.save_latents(vae, tmp_path / "latents.png", x)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_two_dimensions_are_the_ones_that_vary_most():
    kernel = np.diag([0.0, 3.0, 0.0, 1.0, 2.0])
    encoder = keras.layers.Dense(10)
    vae = tfflows.VAE((5,), 5, encoder=encoder, observation=Gaussian(1.0))
    encoder.set_weights([np.concatenate([kernel, np.zeros([5, 5])], 1), np.zeros(10)])
    figure = plots.figure_of_latents(vae, np.random.default_rng(0).normal(size=(50, 5)))
    assert [axes.get_xlabel() for axes in figure.axes] == ["z[1]", "z[1]"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["z[4]", "z[4]"]


def test_one_dimension_is_no_plane():
    with pytest.raises(ValueError, match="in two dimensions, but vae has latent_dim=1"):
        plots.figure_of_latents(tfflows.VAE((4,), 1, name="vae"), np.eye(4, dtype=int))
