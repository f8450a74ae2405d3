"""`zoo.verify`: ok where nothing changed, and it names what drifted."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from zoo_copies import copy_of, edit_metadata, edit_recipe, replace_weights

import tfflows
import zoo
from tfflows.layers import AffineCoupling
from tfflows.networks import MLP
from zoo.verification import SCORE_LIMIT, TOLERANCE, Check, Verification, _check_score

SERVED = ["log_prob.log_prob", "score.score", "encode.z", "decode.x", "sample.x"]
SERVED += ["sample.log_prob", "interpolate.x", "anomaly.log_prob", "anomaly.p_value"]
NAMES = ["log_prob", "z", "samples", *SERVED, "round trip", "likelihood of 256 test examples"]


def drifted(result) -> list[str]:
    return [check.name for check in result.checks if not check.ok]


def test_unchanged_entry_is_ok(tiny):
    result = zoo.verify(tiny)
    assert result.ok and result.name == "tiny"
    assert [check.name for check in result.checks] == NAMES
    for check in result.checks:
        assert 0 <= check.deviation <= check.tolerance <= 1e-3
    lines = str(result).splitlines()
    assert lines[0] == "tiny" and [line.split()[0] for line in lines[1:]] == ["ok"] * len(NAMES)


def test_signatures_may_be_left_out(tiny):
    result = zoo.verify(tiny, signatures=False)
    assert result.ok
    assert [check.name for check in result.checks] == [n for n in NAMES if n not in SERVED]


def test_changed_weight_drifts(published, tmp_path):
    entry = copy_of(published, tmp_path)
    flow = zoo.load("copy")
    # The last bias shifts half of the dimensions.
    bias = [w for w in flow.trainable_weights if w.name == "bias"][-1]
    bias.assign(bias + 0.01)
    replace_weights(entry, flow)
    result = zoo.verify("copy")
    assert not result.ok
    assert {"log_prob", "z", "samples", "score.score", "sample.x"} <= set(drifted(result))
    for line in str(result).splitlines()[1:4]:
        assert line.strip().startswith("DRIFTED") and "allowed" in line


def test_only_the_likelihood_drifts(published, tmp_path):
    entry = copy_of(published, tmp_path)
    edit_metadata(entry, subset_nll=1.01 * zoo.metadata("copy")["subset_nll"])
    assert drifted(zoo.verify("copy")) == [NAMES[-1]]


@pytest.mark.parametrize("key", ["log_prob", "z", "samples", "interpolate.x"])
def test_a_single_number_drifts(published, tmp_path, key):
    entry = copy_of(published, tmp_path)
    reference = dict(np.load(entry / "reference.npz"))
    reference[key].flat[3] += 1e-2 * np.abs(reference[key]).max()
    np.savez(entry / "reference.npz", **reference)
    assert key in drifted(zoo.verify("copy"))
    reference[key] = reference[key][:-1]
    if key != "z":  # which is decoded, too
        np.savez(entry / "reference.npz", **reference)
        assert key in drifted(zoo.verify("copy"))


def test_nan_is_drift(published, tmp_path):
    entry = copy_of(published, tmp_path)
    reference = dict(np.load(entry / "reference.npz"))
    reference["log_prob"][0] = np.nan
    np.savez(entry / "reference.npz", **reference)
    assert "log_prob" in drifted(zoo.verify("copy"))


@pytest.mark.parametrize("source", ["/nowhere/table.npz", "my_table", "tfds:mnist", "mnist"])
def test_likelihood_is_left_out_where_the_data_are_not_here(
    published, tmp_path, monkeypatch, source
):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    edit_recipe(copy_of(published, tmp_path), data=source)
    result = zoo.verify("copy")
    assert result.ok
    assert [check.name for check in result.checks if check.deviation is None] == [NAMES[-1]]
    assert str(result).splitlines()[-1].strip().startswith(f"left out  {NAMES[-1]}: ")


def test_data_may_be_given(tiny, table):
    assert zoo.verify(tiny, tfflows.data.load(table)).ok
    other = tfflows.data.load("moons")
    assert drifted(zoo.verify(tiny, other)) == [NAMES[-1]]


def test_outcome_of_checks():
    good, bad = Check("a", 1e-5, 1e-4), Check("b", 2e-4, 1e-4)
    left_out, nan = Check("c", None, 1e-4, "not here"), Check("d", float("nan"), 1e-4)
    assert [check.ok for check in (good, bad, left_out, nan)] == [True, False, True, False]
    assert Verification("x", (good, left_out)).ok
    assert not Verification("x", (good, bad)).ok


def kinked_flow():
    """A flow whose one hidden unit is on its kink where x_0 = 1, and reference tensors there."""
    coupling = AffineCoupling(MLP(2, hidden=(1,)), "half")
    flow = tfflows.Flow(coupling, event_shape=(2,))
    hidden, output = coupling.conditioner.hidden_0, coupling.conditioner._output
    hidden.kernel.assign([[1.0]])
    hidden.bias.assign([-1.0])
    output.kernel.assign([[0.5, 0.01]])
    x = np.array([[1.0, 2.0], [0.0, 1.0]], "float32")
    # What another processor found, whose roundings put x_0 on the other side.
    other = tf.constant(x) + [[1e-6, 0.0], [0.0, 0.0]]
    published = {"x": x, "z": flow.encode(other).numpy(), "score.score": flow.score(other).numpy()}
    return flow, published, flow.score(x).numpy(), flow.encode(x).numpy()


def test_a_score_may_jump_at_a_kink():
    flow, published, score, z = kinked_flow()
    flow.transform.conditioner._output.kernel.assign([[0.003, 0.0]])
    published["score.score"] = flow.score(published["x"] + [[1e-6, 0.0], [0.0, 0.0]]).numpy()
    check = _check_score(flow, published, flow.score(published["x"]).numpy(), z)
    assert check.deviation > 1e-3 > TOLERANCE
    assert check.ok
    # Where no unit is near its kink the tolerance is that of all others.
    published["score.score"][1] += 1e-3
    assert not _check_score(flow, published, flow.score(published["x"]).numpy(), z).ok


def test_no_kink_excuses_a_wrong_score():
    flow, published, score, z = kinked_flow()
    check = _check_score(flow, published, score, z)
    assert check.tolerance == pytest.approx(SCORE_LIMIT) and not check.ok
    flow.transform.conditioner._output.kernel.assign([[0.003, 0.0]])
    right = flow.score(published["x"]).numpy()
    published["score.score"] = right
    assert _check_score(flow, published, right, z).ok
    assert not _check_score(flow, published, 1.01 * right, z).ok
