"""What every test starts from: two logical devices, a fixed seed, no state of earlier tests."""

import functools
import gc
from pathlib import Path

import keras
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from c_program import compile_predict
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from tfflows.data.pipelines import untuned
from tfflows.model.compiled import CompiledCalls
from tfflows.networks import MLP

# Two logical CPUs stand in for two accelerators. TensorFlow takes this only before its first op.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# Input pipelines that Keras makes of arrays tune themselves, and tests would wait for their end.
_get_tf_dataset = ArrayDataAdapter.get_tf_dataset
ArrayDataAdapter.get_tf_dataset = lambda adapter: untuned(_get_tf_dataset(adapter))


# Files, tests or cases of tests that take longest, as tools/slow_tests.py found them.
SLOW = set(Path(__file__).with_name("slow.txt").read_text().splitlines())


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items):
    for item in items:
        test = item.nodeid.split("[")[0]
        if not SLOW.isdisjoint({test.split("::")[0], test, item.nodeid}):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    # Graphs make so many objects that collections of garbage took 6 % of the tests' time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(autouse=True)
def clean_start():
    keras.utils.set_random_seed(0)
    # TFP's one global cache would let a round trip through tfb.Chain or tfb.Invert return its
    # own input. Called through the class, clear() clears something else.
    tfp.bijectors.Bijector.__dict__["_cache"].clear()
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def eager_calls(request, monkeypatch):
    """Flows are called as with `run_eagerly`: for one call a trace takes longer.

    What runs compiled is compared with this in tests that are marked so.
    """

    def inline(self, function, rows=(), others=(), **settings):
        return function(*rows, *others, **settings)

    if "compiled" not in request.keywords:
        monkeypatch.setattr(CompiledCalls, "__call__", inline)


@pytest.fixture(scope="session")
def two_replicas():
    """One strategy for all tests: collectives of several in one process mix up their keys."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


@pytest.fixture
def conditioner_calls(monkeypatch):
    """Counts the calls of MLPs; in a `tf.function` these are calls at trace time."""
    calls = []
    call = MLP.call

    @functools.wraps(call)
    def counted(self, *args, **kwargs):
        calls.append(self.name)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(MLP, "call", counted)
    return calls


@pytest.fixture(scope="session")
def predict(tmp_path_factory):
    """Path of the compiled C program of examples/serving."""
    return compile_predict(tmp_path_factory.mktemp("c"))
