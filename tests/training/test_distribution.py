"""Training on several replicas and workers: the same as on one device."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from training_runs import read_log, silent, tiny_data, tiny_recipe

from tfflows import training
from tfflows.training import train


@pytest.fixture
def no_cluster(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{}")


@pytest.mark.slow
def test_two_replicas_train_as_one_device_does(two_replicas, tmp_path):
    recipe, data = tiny_recipe(ema_momentum=0.9), tiny_data()
    one = train(recipe, tmp_path / "one", data, silent)
    two = train(recipe, tmp_path / "two", data, silent, two_replicas)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(read_log(tmp_path / "one"), read_log(tmp_path / "two"), strict=True):
        assert a["nll"] == pytest.approx(b["nll"], rel=1e-5)
        assert a["val_nll"] == pytest.approx(b["val_nll"], rel=1e-5)
    # What comes back is a flow on one device.
    assert two.distribute_strategy.num_replicas_in_sync == 1


def test_a_batch_that_replicas_cannot_share(two_replicas, tmp_path):
    with pytest.raises(ValueError, match="batch_size is 5, which 2 replicas cannot share"):
        train(tiny_recipe(batch_size=5), tmp_path / "run", tiny_data(), silent, two_replicas)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["auto", "one_device"])
def test_one_device_is_the_default_strategy(name, no_cluster):
    strategy = training.strategy(name)
    assert strategy.num_replicas_in_sync == 1 and training.is_chief(strategy)


def test_a_process_has_one_mirrored_strategy(no_cluster):
    # Two would mix up the numbers of their collectives: findings/second_mirrored_strategy_*.sh.
    assert training.strategy("mirrored") is training.strategy("mirrored")


def test_bad_strategies(no_cluster):
    with pytest.raises(ValueError, match="strategy must be one of .* found 'parameter_server'"):
        training.strategy("parameter_server")
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        training.strategy("multi_worker")


def test_workers_are_written_to_the_environment(no_cluster):
    training.set_workers(["a:1", "b:2"], 1)
    expected = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    assert json.loads(os.environ["TF_CONFIG"]) == expected


@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        (["a:1", "b"], 0, "HOST:PORT, but found 'b'"),
        (["a:70000"], 0, "HOST:PORT, but found 'a:70000'"),
        (["a:1", "a:1"], 0, "an address of its own"),
        (["a:1", "b:2"], 2, "from 0 to 1, but found 2"),
    ],
)
def test_bad_workers(workers, index, message, no_cluster):
    with pytest.raises(ValueError, match=message):
        training.set_workers(workers, index)
    assert os.environ["TF_CONFIG"] == "{}"


@pytest.mark.parametrize("has_chief", [False, True])
def test_one_process_of_a_cluster_is_the_chief(has_chief):
    jobs = {"chief": ["a:1"], "worker": ["b:1", "c:1"]} if has_chief else {"worker": ["b:1", "c:1"]}

    def is_chief(task_type, task_id):
        resolver = SimpleNamespace(
            cluster_spec=lambda: tf.train.ClusterSpec(jobs), task_type=task_type, task_id=task_id
        )
        return training.is_chief(SimpleNamespace(cluster_resolver=resolver))

    assert is_chief("worker", 0) == (not has_chief)
    assert is_chief("chief", 0) == has_chief
    assert not is_chief("worker", 1)
