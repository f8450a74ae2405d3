"""The audit finds planted faults, and nothing in what is sound."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import LAYERS, build_flow

import tfflows
from tfflows.auditing import audit

tfb, tfd = tfp.bijectors, tfp.distributions


class Doubled(tfb.Bijector):
    """x = 2 z, for faults to be planted in."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=0, dtype=tf.float64, name="doubled")

    def _forward(self, z):
        return 2 * z

    def _inverse(self, x):
        return x / 2

    def _forward_log_det_jacobian(self, z):
        return tf.math.log(tf.constant(2.0, z.dtype)) * tf.ones_like(z)

    def _inverse_log_det_jacobian(self, x):
        return -self._forward_log_det_jacobian(x)


class WrongSign(Doubled):
    def _forward_log_det_jacobian(self, z):
        return -super()._forward_log_det_jacobian(z)


class OneSidedSign(Doubled):
    def _inverse_log_det_jacobian(self, x):
        return self._forward_log_det_jacobian(x)


class WrongEventRank(Doubled):
    """The log-det of one number, for a map of two."""

    def __init__(self):
        tfb.Bijector.__init__(self, forward_min_event_ndims=1, dtype=tf.float64, name="rank")

    def _forward_log_det_jacobian(self, z):
        return super()._forward_log_det_jacobian(z)[..., 0]


class RemembersItsInput(Doubled):
    def _forward(self, z):
        self.last = z
        return 2 * z

    def _inverse(self, x):
        return self.last


class NotInvertible(Doubled):
    def _forward(self, z):
        return tf.abs(2 * z)


class SeesTheBatch(Doubled):
    def _forward(self, z):
        return 2 * z + tf.reduce_mean(z)


class CountsItsCalls(Doubled):
    calls = 0.0

    def _forward(self, z):
        self.calls += 1.0
        return 2 * z + self.calls


class LosesItsGradient(Doubled):
    def _inverse(self, x):
        return tf.stop_gradient(x / 4) + x / 4


class LosesDigits(Doubled):
    def _inverse(self, x):
        return tf.cast(tf.cast(x, tf.float32) / 2, tf.float64)


class TakesOneBatchDimension(Doubled):
    def _forward(self, z):
        return tf.einsum("bi->bi", 2 * z)


FAULTS = {
    WrongSign: "forward log-det is that of the Jacobian",
    OneSidedSign: "inverse log-det is that of the Jacobian",
    WrongEventRank: "forward log-det is that of the Jacobian",
    RemembersItsInput: "inverse of forward",
    NotInvertible: "inverse of forward",
    SeesTheBatch: "forward of a row does not depend on others",
    CountsItsCalls: "forward gives the same twice",
    LosesItsGradient: "gradient of inverse and its log-det are differences",
    LosesDigits: "inverse of forward",
    TakesOneBatchDimension: "forward takes two batch dimensions",
}


def wrong(report):
    return [finding.check for finding in report.findings if finding.verdict == "WRONG"]


def test_nothing_is_found_in_a_sound_bijector():
    report = audit(Doubled(), event_shape=(2,))
    assert [finding.verdict for finding in report.findings] == ["ok"] * 18


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault):
    report = audit(fault(), event_shape=(2,))
    assert not report.ok
    assert FAULTS[fault] in wrong(report), report


def test_a_density_that_does_not_integrate_to_one_is_found():
    twice = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 1), tfb.Scale(2.0))
    assert audit(twice).ok
    twice._call_log_prob = lambda x, *_, **__: tfd.Normal(0.0, 2.0).log_prob(x)[..., 0] + 0.1
    assert wrong(audit(twice)) == ["density integrates to 1"]


def test_samples_that_do_not_follow_the_density_are_found():
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    flow = tfd.TransformedDistribution(base, tfb.Scale(2.0))
    flow._call_sample_n = lambda n, *_, **__: 1.8 * base.sample(n, seed=[1, 2])
    assert wrong(audit(flow)) == ["samples have the density's moments"]


@pytest.mark.parametrize("name", ["realnvp", "nice"])
def test_nothing_is_found_in_a_flow(name):
    assert audit(build_flow(name)).ok


# One of each kind: an audit takes seconds, and the property tests have all.
KINDS = ("actnorm", "affine_context", "continuous", "logit", "planar", "residual", "stack_context")


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_found_in_our_layers(name):
    case = LAYERS[name]
    layer = case.build("float64")
    z, context = case.draw("z", layer, 2)
    view = tfflows.bijectors.LayerBijector(layer, context=None if context is None else context[:1])
    report = audit(view, z, rtol=case.error)
    assert report.ok, report


def test_a_pair_of_functions_is_audited():
    def forward(z):
        return tf.exp(z), tf.reduce_sum(z, -1)

    def inverse(x):
        return tf.math.log(x), -tf.reduce_sum(tf.math.log(x), -1)

    report = audit((forward, inverse), event_shape=(2,))
    assert report.ok, report
    assert audit(
        (forward, lambda x: (tf.math.log(x), tf.zeros(len(x), x.dtype))), event_shape=(2,)
    ).wrong


def test_what_cannot_be_checked_says_why():
    notes = {f.check: f.note for f in audit(tfb.CorrelationCholesky(), event_shape=(3,)).findings}
    assert "different numbers" in notes["forward log-det is that of the Jacobian"]
    assert "one or two dimensions" in notes["density integrates to 1"]
    z = np.exp(np.random.default_rng(0).normal(size=(16, 2)))
    notes = {f.check: f.note for f in audit(tfb.Log(), z).findings}
    assert "domain" in notes["density integrates to 1"]


def test_inputs_outside_of_the_domain_end_the_audit():
    report = audit(tfb.Log(), event_shape=(2,))
    assert len(report.findings) == 1
    assert "pass z that lies in the domain" in report.findings[0].note


def test_reports_as_text_markdown_and_json():
    report = audit(WrongSign(), event_shape=(2,))
    text = str(report)
    assert "doubled: " in text and " WRONG" in text and "worst input: [" in text
    table = report.markdown().splitlines()
    assert len(table) == 4 + len(report.findings)
    assert all(row.count("|") == 6 for row in table[2:])
    data = json.loads(report.json())
    assert data["ok"] is False and len(data["findings"]) == len(report.findings)
    wrong_log_det = data["findings"][3]
    assert wrong_log_det["error"] == pytest.approx(4 * np.log(2))


@pytest.mark.parametrize(
    ("thing", "settings", "message"),
    [
        (tfb.Exp(), {}, "shape of z is not known"),
        ("exp", {"event_shape": (2,)}, "audit takes a tfb.Bijector"),
        (tfb.Exp(), {"z": np.zeros([3, 2])}, r"even number of inputs z of shape \(2,\)"),
        (tfflows.layers.Scale(), {}, "not built yet"),
    ],
)
def test_bad_input_ends_in_a_sentence(thing, settings, message):
    with pytest.raises(ValueError, match=message):
        audit(thing, **settings)


def test_a_conditional_flow_is_audited_given_a_context():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), num_classes=3)
    with pytest.raises(ValueError, match=r"flow.given\(context\)"):
        audit(flow)
    assert audit(flow.given(1)).ok
