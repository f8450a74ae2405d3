"""What editors know of a user's program: `pyrefly check` compares it, and nothing here is run."""

from typing import assert_type

import numpy as np
import tensorflow as tf

import tfflows

x = np.zeros([3, 2])
flow = tfflows.RealNVP((2,), num_couplings=4)
assert_type(flow, tfflows.RealNVP)
assert_type(flow.log_prob(x), tf.Tensor)
assert_type(flow.log_prob([[0.0, 1.0]], batch_size=100), tf.Tensor)
assert_type(flow.score(tf.zeros([3, 2])), tf.Tensor)
assert_type(flow.encode(x), tf.Tensor)
assert_type(flow.decode(x), tf.Tensor)
assert_type(flow.sample(3, seed=0), tf.Tensor)
assert_type(flow.sample(3, seed=tf.constant([0, 1])), tf.Tensor)
assert_type(flow.sample_and_log_prob(3), tuple[tf.Tensor, tf.Tensor])
assert_type(flow.is_conditional, bool)

assert_type(tfflows.zoo.load("realnvp_moons"), tfflows.flow.Flow)
assert_type(tfflows.zoo.list(), list[str])
assert_type(tfflows.zoo.card("realnvp_moons"), str)
assert_type(tfflows.data.load("moons"), tfflows.data.Dataset)
assert_type(tfflows.evaluate.likelihood(flow, x), tfflows.evaluate.Likelihood)
assert_type(tfflows.layers.ActNorm().inverse_and_log_det(x), tuple[tf.Tensor, tf.Tensor])
assert_type(tfflows.edit.interpolate(flow, x, x), tf.Tensor)

vae = tfflows.VAE((8,), latent_dim=2)
assert_type(vae, tfflows.VAE)
assert_type(vae.reconstruct(x), tf.Tensor)

# What is wrong is marked.
flow.log_prob(x, batch_size="all")  # pyrefly: ignore[bad-argument-type]
flow.sample()  # pyrefly: ignore[missing-argument]
tfflows.zoo.load(name=1)  # pyrefly: ignore[bad-argument-type]
tfflows.data.load("moons", seeed=0)  # pyrefly: ignore[unexpected-keyword]
