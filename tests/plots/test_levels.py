"""Pictures of levels, of a flow whose latents are pixels."""

import numpy as np
import pytest
import tensorflow as tf

import tfflows
from tfflows import layers, plots

SHAPE = (8, 8, 1)


def test_pixels_of_the_levels_that_are_kept_are_the_images():
    levels = layers.MultiScale([layers.Squeeze() for _ in range(2)], image_shape=SHAPE)
    flow = tfflows.Flow(levels, event_shape=SHAPE, num_bits=4)
    images = np.random.default_rng(0).integers(8, 16, size=(1, *SHAPE))
    figure = plots.figure_of_levels(flow, images)
    # A frame of one pixel around each image, and pixels as squares.
    grid = np.asarray(figure.axes[0].images[0].get_array())[..., 0]
    own, changed = (np.round(15 * grid[i : i + 8, 1:9]) for i in (1, 10))
    np.testing.assert_array_equal(own, images[0, ..., 0])
    places = tf.reshape(tf.range(64, dtype=tf.float32), [1, *SHAPE])
    kept, _ = levels.split(flow.encode(places))
    is_kept = np.isin(np.arange(64).reshape(8, 8), np.round(kept))
    assert is_kept.sum() == 32
    np.testing.assert_array_equal(changed[is_kept], own[is_kept])
    assert np.all(changed[~is_kept] < 8)  # draws of the base


def test_a_flow_without_levels_is_refused():
    flow = tfflows.NICE(SHAPE, num_couplings=2, hidden=(4,))
    with pytest.raises(ValueError, match="a flow with a MultiScale, but NICE has none"):
        plots.figure_of_levels(flow, np.zeros([1, *SHAPE]))
