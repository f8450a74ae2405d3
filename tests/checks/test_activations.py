"""Activations are refused where they could not be loaded again, before anything is trained."""

import keras
import pytest
import tensorflow as tf

import tfflows
from tfflows import networks
from tfflows.checks.activations import activation_of


@keras.saving.register_keras_serializable(package="tests")
def doubled_tanh(x):
    return 2 * keras.ops.tanh(x)


@pytest.mark.parametrize("function", [lambda x: x, tf.nn.silu])
@pytest.mark.parametrize(
    "make",
    [
        lambda activation: networks.MLP(4, hidden=(8,), activation=activation),
        lambda activation: networks.MaskedMLP(4, hidden=(8,), activation=activation),
        lambda activation: networks.ConvNetwork(4, width=4, activation=activation),
        lambda activation: networks.TimeDependentMLP(4, hidden=(8,), activation=activation),
        lambda activation: tfflows.RealNVP((2,), hidden=(8,), activation=activation),
    ],
)
def test_functions_that_no_file_can_name(make, function):
    with pytest.raises(ValueError, match="cannot be loaded again from a file; give its name"):
        make(function)


def test_what_files_can_name(tmp_path):
    assert activation_of("gelu") is activation_of(keras.activations.gelu)
    leaky = keras.layers.LeakyReLU()
    assert activation_of(leaky) is leaky
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), activation=doubled_tanh)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert loaded.get_config()["activation"] == flow.get_config()["activation"]
