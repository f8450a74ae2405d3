"""Bad input to layers: each message names what was found and what was expected."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.bijectors import BijectorLayer
from tfflows.layers import (
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    Logit,
    Permutation,
    Rescaling,
    Reshape,
    Reverse,
    Scale,
    coupling_mask,
)

tfb = tfp.bijectors


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


def graph(method, *args):
    return tf.function(method).get_concrete_function(*args)


def dense_of_2():
    return keras.layers.Dense(2)


def scale_of_3():
    return built(Scale(name="scale"), 3)


# What goes wrong, and what its message must name.
CASES = {
    "event_size": (
        lambda: scale_of_3().forward_and_log_det(tf.ones([2, 4])),
        ["'scale'", "('batch', 3)", "(2, 4)"],
    ),
    "rank": (lambda: scale_of_3().inverse_and_log_det(tf.ones([3])), ["('batch', 3)", "(3,)"]),
    "in_graph": (
        lambda: graph(scale_of_3().forward_and_log_det, tf.TensorSpec([None, 4])),
        ["('batch', 3)", "(None, 4)"],
    ),
    "image": (
        lambda: built(Reshape((2, 2)), 4).inverse_and_log_det(tf.ones([1, 2, 3])),
        ["x of shape ('batch', 2, 2)", "(1, 2, 3)"],
    ),
    "dtype": (
        lambda: scale_of_3().forward_and_log_det(tf.ones([2, 3], tf.float64)),
        ["float32", "float64", "cast"],
    ),
    "integers": (
        lambda: scale_of_3().forward_and_log_det(tf.ones([2, 3], tf.int32)),
        ["float32", "int32"],
    ),
    "low_precision": (lambda: Scale(dtype="bfloat16"), ["'bfloat16'", "'float32' or 'float64'"]),
    "not_built": (lambda: Scale(name="s").bijector, ["'s' is not built", "build("]),
    "half_of_odd": (lambda: coupling_mask("half", 5), ["'half'", "even", "5", "'alternating'"]),
    "mask_name": (lambda: coupling_mask("halves", 4), ["'half'", "'alternating'", "'halves'"]),
    "mask_length": (lambda: coupling_mask([True, False], 3), ["(2,)", "(3,)"]),
    "mask_all": (lambda: coupling_mask([True] * 3, 3), ["at least one", "3 and 0 of 3"]),
    "one_dimension": (lambda: coupling_mask("alternating", 1), ["1 and 0 of 1"]),
    "mask_in_layer": (
        lambda: AdditiveCoupling(dense_of_2(), "half")(tf.ones([2, 5])),
        ["even", "5"],
    ),
    "additive_size": (
        lambda: AdditiveCoupling(dense_of_2(), name="a")(tf.ones([2, 5, 6])),
        ["'a'", "transforms 3", "return 3", "returns 2"],
    ),
    "affine_size": (
        lambda: AffineCoupling(dense_of_2(), "half")(tf.ones([2, 4])),
        ["transforms 2", "return 4", "returns 2"],
    ),
    "bound": (lambda: AffineCoupling(dense_of_2(), log_scale_bound=0), ["positive", "found 0"]),
    "permutation": (lambda: Permutation([0, 2]), ["0 ... 1", "[0, 2]"]),
    "permutation_size": (
        lambda: Permutation([1, 0])(tf.ones([2, 3])),
        ["2 entries", "size 3"],
    ),
    "rescaling": (lambda: Rescaling(0.0), ["other than 0", "0.0"]),
    "rescaling_nan": (lambda: Rescaling(float("nan")), ["finite", "nan"]),
    "alpha": (lambda: Logit(0.5), ["[0, 0.5)", "found 0.5"]),
    "reshape": (lambda: Reshape((2, 3), (5,)), ["(5,)", "(2, 3)", "5 elements", "6"]),
    "reshape_source": (lambda: Reshape((2, 3))(tf.ones([1, 5])), ["(6,)", "(5,)"]),
    "empty_chain": (lambda: Chain([]), ["at least one", "empty"]),
    "foreign_layer": (lambda: Chain([dense_of_2()]), ["InvertibleLayers", "Dense"]),
    "foreign_bijector": (lambda: Chain([tfb.Exp()]), ["exp", "BijectorLayer"]),
    "mixed_dtypes": (
        lambda: Chain([Reverse(dtype="float64", name="r")]),
        ["float32", "'r'", "float64"],
    ),
    "no_bijector": (lambda: BijectorLayer(lambda shape: shape)(tf.ones([2, 3])), ["(3,)"]),
    "shape_changing_bijector": (
        lambda: BijectorLayer(lambda shape: tfb.FillTriangular())(tf.ones([2, 3])),
        ["keep the shape", "(3,) to (2, 2)"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_message_names_what_was_found_and_expected(name):
    action, fragments = CASES[name]
    with pytest.raises(ValueError, match=".") as error:
        action()
    message = str(error.value)
    assert [fragment for fragment in fragments if fragment not in message] == [], message
    assert message.rstrip().endswith("."), message


def test_same_layer_twice():
    layer = Reverse()
    with pytest.raises(ValueError, match=r"same layer twice; create one layer for each place\."):
        Chain([layer, layer])


def test_lists_and_arrays_are_taken_as_the_layers_dtype():
    layer = built(Scale(dtype="float64"), 2)
    for z in ([[1.0, 0.1]], np.array([[1.0, 0.1]])):
        x, _ = layer.forward_and_log_det(z)
        assert x.dtype == tf.float64
        np.testing.assert_array_equal(x, [[1.0, 0.1]])
