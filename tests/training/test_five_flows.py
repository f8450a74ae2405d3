"""After 20 steps one device, two replicas and two worker processes have the same weights."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from five_flows import FLOWS, STEPS, trained
from workers import run_workers


@pytest.fixture(scope="module")
def of_two_workers(tmp_path_factory):
    """By name: weights and losses that two worker processes end with."""
    file = tmp_path_factory.mktemp("workers") / "weights.npz"
    script = Path(__file__).with_name("five_flows.py")
    run_workers(lambda workers, index: [sys.executable, script, workers, index, file])
    with np.load(file) as values:
        keys = [key.partition("|") for key in values]
        return {
            name: {key: values[f"{name}|{key}"] for n, _, key in keys if n == name}
            for name in FLOWS
        }


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_one_device_two_replicas_and_two_workers_agree(name, two_replicas, of_two_workers):
    one = trained(name, tf.distribute.get_strategy())
    assert len(one["losses"]) == STEPS // 5 and one["losses"][-1] < one["losses"][0]
    for other in (trained(name, two_replicas), of_two_workers[name]):
        assert [*other] == [*one]
        for key, expected in one.items():
            if expected.dtype == bool:
                continue
            scale = np.max(np.abs(expected))
            np.testing.assert_allclose(other[key], expected, rtol=0, atol=1e-5 * scale, err_msg=key)
