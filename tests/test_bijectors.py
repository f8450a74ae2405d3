"""The view of a layer as a `tfb.Bijector`."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import LAYERS, build_flow, cases_of, max_difference

import tfflows
from tfflows.layers import AffineCoupling, Scale
from tfflows.networks import MLP

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.mark.parametrize("name", cases_of(LAYERS))
def test_view_is_the_layer(name):
    case = LAYERS[name]
    layer = case.build()
    view = layer.bijector
    z, context = case.draw("z", layer, 5)
    x, log_det = layer.forward_and_log_det(z, context)
    keywords = {} if context is None else {"context": context}
    np.testing.assert_array_equal(view.forward(z, **keywords), x)
    event_ndims = len(layer.latent_shape)
    found = view.forward_log_det_jacobian(z, event_ndims, **keywords)
    np.testing.assert_array_equal(found, log_det)

    back, log_det = layer.inverse_and_log_det(x, context)
    np.testing.assert_array_equal(view.inverse(tf.identity(x), **keywords), back)
    event_ndims = len(layer.event_shape)
    found = view.inverse_log_det_jacobian(tf.identity(x), event_ndims, **keywords)
    np.testing.assert_array_equal(found, log_det)
    assert view.forward_event_shape(z.shape[1:]) == layer.event_shape
    assert view.inverse_event_shape(x.shape[1:]) == layer.latent_shape


def test_view_is_made_once_and_needs_a_built_layer():
    layer = Scale()
    with pytest.raises(ValueError, match="not built"):
        _ = layer.bijector
    layer.build((None, 2))
    assert layer.bijector is layer.bijector


@pytest.mark.parametrize("name", ["affine_context", "affine_image", "reshape", "chain_plain"])
def test_nested_batch_shapes(name):
    case = LAYERS[name]
    layer = case.build()
    z, context = case.draw("z", layer, 6)
    expected, log_det = layer.forward_and_log_det(z, context)
    keywords = {} if context is None else {"context": tf.reshape(context, [2, 3, -1])}
    view, nested = layer.bijector, tf.reshape(z, [2, 3, *layer.latent_shape])
    x = view.forward(nested, **keywords)
    np.testing.assert_array_equal(x, tf.reshape(expected, [2, 3, *layer.event_shape]))
    found = view.forward_log_det_jacobian(nested, len(layer.latent_shape), **keywords)
    np.testing.assert_array_equal(found, tf.reshape(log_det, [2, 3]))
    # No batch dimension at all.
    keywords = {} if context is None else {"context": context[0]}
    found = view.inverse(x[0, 0], **keywords)
    assert found.shape == layer.latent_shape
    assert max_difference(found, z[0]) < 1e-4


def test_context_broadcasts_over_the_batch():
    case = LAYERS["affine_context"]
    layer = case.build()
    z, context = case.draw("z", layer, 3)
    expected, _ = layer.forward_and_log_det(z, tf.repeat(context[:1], 3, axis=0))
    np.testing.assert_array_equal(layer.bijector.forward(z, context=context[0]), expected)


def test_chain_invert_and_transformed_distribution():
    layer = LAYERS["affine_mask"].build()
    mapped = tfb.Chain([tfb.Exp(), layer.bijector, tfb.Shift(tf.ones([5]))])
    z = tf.random.normal([7, 5])
    x, log_det = layer.forward_and_log_det(z + 1)
    np.testing.assert_allclose(mapped.forward(z), tf.exp(x), rtol=1e-6)
    expected = log_det + tf.reduce_sum(x, -1)
    np.testing.assert_allclose(mapped.forward_log_det_jacobian(z, 1), expected, rtol=1e-5)
    np.testing.assert_allclose(tfb.Invert(layer.bijector).inverse(z + 1), x)

    base = tfd.Independent(tfd.Normal(tf.zeros([5]), 1.0), 1)
    distribution = tfd.TransformedDistribution(base, mapped)
    found = distribution.log_prob(tf.exp(tf.identity(x)))
    np.testing.assert_allclose(found, base.log_prob(z) - expected, rtol=1e-4, atol=1e-4)
    assert distribution.sample([2, 3]).shape == (2, 3, 5)


def test_trainable_variables_are_the_weights():
    flow = build_flow("realnvp")
    expected = {id(weight._value) for weight in flow.trainable_weights}
    for module in (flow.bijector, flow.distribution, tfb.Invert(flow.bijector)):
        assert {id(variable) for variable in module.trainable_variables} == expected
    all_of_them = {id(weight._value) for weight in flow.transform.weights}
    assert {id(variable) for variable in flow.bijector.variables} == all_of_them


def test_no_stale_values_or_gradients_after_a_weight_update():
    layer = LAYERS["scale"].build()
    view, weight = layer.bijector, layer.trainable_weights[0]
    z = tf.ones([1, 2, 3])
    held = [view.forward(z), view.inverse(z), view.forward_log_det_jacobian(z, 2)]
    weight.assign(weight + 1.0)
    fresh = [layer.forward_and_log_det(z)[0], layer.inverse_and_log_det(z)[0]]
    np.testing.assert_array_equal(view.forward(z), fresh[0])
    np.testing.assert_array_equal(view.inverse(z), fresh[1])
    assert max_difference(view.forward_log_det_jacobian(z, 2), held[2]) > 1

    with tf.GradientTape(persistent=True) as tape:
        ours = tf.reduce_sum(view.forward(z)) + view.inverse_log_det_jacobian(z, 2)
        x, _ = layer.forward_and_log_det(z)
        plain = tf.reduce_sum(x) + layer.inverse_and_log_det(z)[1]
    expected = tape.gradient(plain, weight._value)
    np.testing.assert_allclose(tape.gradient(ours, weight._value), expected)
    assert held is not None  # alive until here: TFP's cache holds its values weakly


def test_gradients_through_the_distribution_are_those_of_the_flow():
    flow = build_flow("realnvp")
    x = tf.random.normal([5, 2])
    held = flow.bijector.inverse(x)
    weights = [weight._value for weight in flow.trainable_weights]
    with tf.GradientTape(persistent=True) as tape:
        ours = tf.reduce_sum(flow.distribution.log_prob(x))
        plain = tf.reduce_sum(flow.log_prob(x))
    for found, expected in zip(
        tape.gradient(ours, weights), tape.gradient(plain, weights), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert held is not None


def test_one_graph_evaluates_each_conditioner_once(conditioner_calls):
    flow = build_flow("realnvp")
    x = tf.random.normal([5, 2])
    tf.function(flow.distribution.log_prob).get_concrete_function(x)
    assert len(conditioner_calls) == 3
    conditioner_calls.clear()

    def forward_and_log_det(z):
        return flow.bijector.forward(z), flow.bijector.forward_log_det_jacobian(z, 1)

    tf.function(forward_and_log_det).get_concrete_function(x)
    assert len(conditioner_calls) == 3
    conditioner_calls.clear()
    sample = tf.function(lambda: flow.distribution.experimental_sample_and_log_prob(4))
    sample.get_concrete_function()
    assert len(conditioner_calls) == 3


def test_traced_graphs_are_set_free():
    flow = build_flow("realnvp")
    graphs = []
    for n in range(3):
        function = tf.function(flow.distribution.log_prob)
        concrete = function.get_concrete_function(tf.TensorSpec([n + 1, 2]))
        graphs.append(weakref.ref(concrete.graph))
        del function, concrete
    gc.collect()
    assert [graph() for graph in graphs] == [None] * 3


def test_agrees_with_tfps_realnvp():
    network = MLP(6, hidden=(8,))
    coupling = AffineCoupling(network, "half", log_scale_bound=1.5)
    coupling.build((None, 6))
    for weight in network.weights:
        weight.assign(tf.random.normal(weight.shape))

    def shift_and_log_scale(a, num_outputs, **condition):
        h, shift = tf.split(network(a), 2, axis=-1)
        return shift, 1.5 * tf.tanh(h / 1.5)

    other = tfb.RealNVP(num_masked=3, shift_and_log_scale_fn=shift_and_log_scale)
    z = tf.random.normal([5, 6])
    x, forward = coupling.forward_and_log_det(z)
    np.testing.assert_allclose(x, other.forward(z), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(forward, other.forward_log_det_jacobian(z, 1), rtol=1e-5)
    back, inverse = coupling.inverse_and_log_det(z)
    np.testing.assert_allclose(back, other.inverse(z), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(inverse, other.inverse_log_det_jacobian(z, 1), rtol=1e-5)


def test_agrees_with_tfps_chain_of_its_layers():
    chain = LAYERS["chain_plain"].build()
    # tfb.Chain's last bijector acts first.
    other = tfb.Chain([layer.bijector for layer in reversed(chain.layers)])
    z = tf.random.normal([5, 4])
    x, forward = chain.forward_and_log_det(z)
    np.testing.assert_allclose(x, other.forward(z), rtol=1e-6)
    np.testing.assert_allclose(forward, other.forward_log_det_jacobian(z, 1), rtol=1e-5)
    back, inverse = chain.inverse_and_log_det(x)
    np.testing.assert_allclose(back, other.inverse(tf.identity(x)), rtol=1e-5, atol=1e-6)
    found = other.inverse_log_det_jacobian(tf.identity(x), 2)
    np.testing.assert_allclose(inverse, found, rtol=1e-5)


def test_labels_and_contexts_of_the_wrong_size_are_refused():
    flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,), num_classes=5)
    x = np.ones([5, 2], "float32")
    with pytest.raises(ValueError, match=r"tf.one_hot\(labels, num_classes\)"):
        flow.distribution.log_prob(x, bijector_kwargs={"context": np.arange(5)})
    with pytest.raises(ValueError, match=r"context of shape \('batch', 5\), but found .*3"):
        flow.bijector.inverse(x, context=np.ones([5, 3], "float32"))
    with pytest.raises(ValueError, match=r"context of shape \('batch', 5\), but found none"):
        flow.bijector.inverse(x)


def masked_flow(event_shape):
    """TFP's MAF; its networks make their variables in their first call."""
    network = tfb.AutoregressiveNetwork(2, event_shape=list(event_shape), hidden_units=[8])
    return tfb.MaskedAutoregressiveFlow(network)


def test_a_masked_network_of_tfps_keeps_its_masks():
    keras.utils.set_random_seed(0)
    flow = tfflows.Flow(tfflows.bijectors.BijectorLayer(masked_flow), event_shape=(3,))
    assert len(flow.trainable_weights) == 4
    optimizer = keras.optimizers.Adam(0.1)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    for _ in range(5):  # a loop of one's own, where no constraint is applied
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        gradients = tape.gradient(loss, flow.trainable_variables)
        optimizer.apply(gradients, flow.trainable_variables)
    kernel = flow.trainable_weights[0]
    assert np.any(kernel.numpy() != 0)
    flow.transform.check()
    assert tfflows.evaluate.log_det_error(flow, x[:4]) < 1e-5
    # Not even their gradients reach what is masked: a third of the first kernel.
    assert 0 < np.count_nonzero(gradients[0] == 0) < np.size(gradients[0])


def test_variables_of_the_first_call_are_trained_and_saved(tmp_path):
    keras.saving.register_keras_serializable(package="test")(masked_flow)
    flow = tfflows.Flow(tfflows.bijectors.BijectorLayer(masked_flow), event_shape=(2,))
    before = [weight.numpy() for weight in flow.trainable_weights]
    x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    flow.compile(keras.optimizers.Adam(0.1))
    flow.fit(x, verbose=0)
    changed = [
        np.any(weight.numpy() != old) for weight, old in zip(flow.weights, before, strict=True)
    ]
    assert all(changed)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))


class Lying(tfb.Bijector):
    """Twice z, whose log-det depends on a variable that is made in the second call."""

    def __init__(self, log_det=0.0):
        super().__init__(forward_min_event_ndims=1)
        self.log_det = log_det
        self.made = []

    def _forward(self, z):
        return 2 * z

    def _inverse(self, x):
        return x / 2

    def _forward_log_det_jacobian(self, z):
        return tf.fill(tf.shape(z)[:-1], 2 * np.log(2.0).astype("float32") + self.log_det)


def test_a_log_det_that_lies_is_refused():
    x = np.ones([8, 2], "float32")
    with pytest.raises(ValueError, match="off by up to 0.5 nats"):
        tfflows.bijectors.BijectorLayer(lambda shape: Lying(0.5))(x)
    flow = tfflows.Flow(tfflows.bijectors.BijectorLayer(lambda shape: Lying()), event_shape=(2,))
    flow.compile()
    flow.fit(x, verbose=0)
    flow.transform._wrapped.log_det = 0.25
    with pytest.raises(ValueError, match="off by up to 0.25 nats"):
        flow.fit(x, verbose=0)
    flow.transform._wrapped.log_det = 0.0
    flow.transform._wrapped.made.append(tf.Variable(1.0))
    with pytest.raises(ValueError, match="had 0 variables when it was built and has 1 now"):
        flow.fit(x, verbose=0)


def test_bijectors_of_bounded_domains_are_wrapped():
    x = tf.constant([[0.2, 0.7]])
    for bijector in (tfb.Sigmoid(), tfb.Invert(tfb.Softplus()), tfb.Invert(tfb.Sigmoid())):
        layer = tfflows.bijectors.BijectorLayer(lambda shape, bijector=bijector: bijector)
        np.testing.assert_allclose(layer(x), bijector.forward(x))


def test_constraints_that_cannot_be_kept_are_refused():
    x = tf.ones([1, 2])

    def in_a_list(shape):
        bijector = tfb.Scale(2.0)
        bijector.scales = [tf.Variable(1.0, constraint=tf.abs)]
        return bijector

    with pytest.raises(ValueError, match="1 variables with a constraint that Keras 3 would not"):
        tfflows.bijectors.BijectorLayer(in_a_list)(x)
    with pytest.raises(ValueError, match="use tfflows.layers.BatchNormalization"):
        tfflows.bijectors.BijectorLayer(lambda shape: tfb.BatchNormalization())(x)


def test_steps_of_training_within_one_graph():
    """Each of them sees the weights that the last one left, through the view, too."""
    x = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    results = []
    for wrap in (tf.function, lambda function: function):
        flow = build_flow("realnvp", size=0.5)
        optimizer = keras.optimizers.SGD(0.05)
        optimizer.build(flow.trainable_variables)

        @wrap
        def steps(x, flow=flow, optimizer=optimizer):
            for _ in range(3):
                with tf.GradientTape() as tape:
                    loss = -tf.reduce_mean(flow.distribution.log_prob(x))
                weights = flow.trainable_variables
                optimizer.apply(tape.gradient(loss, weights), weights)
            return loss

        results.append([float(steps(tf.constant(x))), *flow.get_weights()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
