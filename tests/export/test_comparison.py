"""Whether a runtime that answers otherwise is found out."""

import numpy as np
import pytest

import tfflows
from tfflows.export import comparison
from tfflows.export.signatures import Signatures

NAMES = ("log_prob", "encode", "decode")


def flow_and_run(change):
    """A flow, its signatures, and a runtime that is TensorFlow but for a change."""
    flow = tfflows.RealNVP(event_shape=(2,), num_couplings=2, hidden=(4,), num_classes=3)
    rng = np.random.default_rng(0)
    for weight in flow.trainable_variables:
        weight.assign(weight + rng.normal(0, 0.2, weight.shape))
    signatures = Signatures(flow, names=NAMES)

    def run(name, inputs):
        function, specs = signatures.functions()[name]
        found = function(**{spec.name: inputs[spec.name] for spec in specs})
        return {key: change(name, inputs, value.numpy()) for key, value in found.items()}

    return flow, signatures, run


def test_what_was_compared_is_said():
    found = comparison.compared(*flow_and_run(lambda name, inputs, value: value), "onnx")
    assert set(found) == set(NAMES)
    for groups in found.values():
        assert groups["samples"]["rows"] == 4
        assert groups["far_out"]["rows"] >= 5
        assert groups["far_out"]["largest_input"] > 5 * groups["samples"]["largest_input"]
        assert groups["far_out"]["deviation"] <= 1e-5 * groups["far_out"]["largest_output"]


def wrong_by_a_thousandth(name, inputs, value):
    return value * np.float32(1.001)


def wrong_far_out(name, inputs, value):
    return np.where(value < -1000, -np.inf, value) if name == "log_prob" else value


def wrong_shape(name, inputs, value):
    return value[:, None] if name == "log_prob" else value


def wrong_in_one_row(name, inputs, value):
    return 1.01 * value if len(value) == 1 else value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (wrong_by_a_thousandth, r"log_prob of its log_prob is off by 1\.0e-03 .*, on samples"),
        (wrong_far_out, r"log_prob of its log_prob is off by inf of .*, far out; expected 1e-04"),
        (wrong_shape, r"log_prob of its log_prob is off by inf .*, on samples"),
        (wrong_in_one_row, r"log_prob of its log_prob is off by .*, on samples"),
    ],
)
def test_what_answers_otherwise_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        comparison.compared(*flow_and_run(change), "onnx")
