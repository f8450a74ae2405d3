"""What layers ask of a transformer before they take it."""

import keras
import numpy as np
import pytest

from tfflows.transformers import Affine, Shift, SinhArcsinh, Transformer, as_transformer


def test_a_transformer_stays_itself():
    transformer = Affine()
    assert as_transformer(transformer) is transformer


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("affine", "Transformer, such as Affine.*, but found 'affine'"),
        (None, "Transformer, .* but found None"),
        (Affine, r"found the class Affine; make one: Affine\(\)"),
        ({"bound": 2.0}, "but found {'bound': 2.0}"),
        (
            {"class_name": "Missing", "config": {}},
            "of which Keras makes none: .*'Missing'",
        ),
        (keras.saving.serialize_keras_object(keras.layers.Dense(2)), "but found <Dense"),
    ],
)
def test_anything_else_raises(value, message):
    with pytest.raises(ValueError, match=message):
        as_transformer(value)


@pytest.mark.parametrize("kind", [Affine, SinhArcsinh])
@pytest.mark.parametrize("bound", [0.0, -1.0, float("inf"), float("nan"), "2"])
def test_bounds_are_positive_and_finite(kind, bound):
    with pytest.raises(ValueError, match=f"{kind.__name__} needs a positive finite bound, but"):
        kind(bound=bound)


def test_settings_that_are_equal_make_equal_transformers():
    assert Affine(np.float32(2)) == Affine(2)
    assert repr(Affine(2)) == "Affine(bound=2.0)"
    assert len({Affine(2), Affine(2.0), Affine(None), Shift(), Shift()}) == 3


def test_a_transformer_that_implements_nothing_says_so():
    class Nothing(Transformer):
        num_parameters = 0

    with pytest.raises(NotImplementedError, match="Nothing has no forward map"):
        Nothing().forward([1.0], [])
    with pytest.raises(NotImplementedError, match="Nothing has no inverse map"):
        Nothing().inverse([1.0], [])
