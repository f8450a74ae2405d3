"""OpenAI's Glow checkpoints: the converted flow computes what Glow's equations say.

There is no download. A checkpoint is written by TensorFlow 1's Saver with the names and shapes of
model.py and tfops.py (https://github.com/openai/glow), and the equations are evaluated in NumPy.
"""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfflows
import zoo

tf1 = tf.compat.v1


def _load_tool():
    path = Path(__file__).parents[2] / "tools" / "convert_openai_glow.py"
    spec = importlib.util.spec_from_file_location("convert_openai_glow", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks
    spec.loader.exec_module(module)
    return module


tool = _load_tool()


@dataclasses.dataclass(frozen=True)
class Model:
    """The hyper-parameters that OpenAI's train.py takes."""

    n_levels: int = 2
    depth: int = 2
    width: int = 8
    image_size: int = 8
    n_bits_x: int = 8
    affine: bool = True
    permutation: str = "invconv"
    learntop: bool = True
    n_y: int | None = None  # classes, if --ycond

    @property
    def top_shape(self):
        side = self.image_size // 2**self.n_levels
        return (side, side, 6 * 2**self.n_levels)


MODELS = {
    "affine": Model(),
    "additive": Model(affine=False),
    "affine_classes": Model(n_y=4),
    "additive_classes": Model(affine=False, learntop=False, n_y=4),
    "plain_top": Model(permutation="reverse", learntop=False),
    "plain_top_three_levels": Model(n_levels=3, depth=1, learntop=False, n_bits_x=3),
    "three_levels": Model(n_levels=3, depth=1, n_y=3),
    "one_level": Model(n_levels=1, depth=3, n_bits_x=5),
    "shuffle": Model(permutation="shuffle", affine=False),
    "lu": Model(permutation="lu", image_size=16, depth=1),
}


def make_variables(model, seed=0):
    """Random values under OpenAI's names, without the scope `model`."""
    rng = np.random.default_rng(seed)
    values = {}

    def normal(name, *shape, size=0.1):
        values[name] = (size * rng.normal(size=shape)).astype("float32")

    def actnorm(scope, c):
        normal(f"{scope}actnorm_center/b", 1, 1, 1, c)
        normal(f"{scope}actnorm_scale/logs", 1, 1, 1, c)

    def conv2d_zeros(scope, n_in, n_out, size=0.1):
        normal(f"{scope}/W", 3, 3, n_in + 1, n_out, size=size)
        normal(f"{scope}/b", 1, 1, 1, n_out)
        normal(f"{scope}/logs", 1, n_out)

    for level in range(model.n_levels):
        c = 12 * 2**level
        for step in range(model.depth):
            scope = f"{level}/{step}/"
            actnorm(scope, c)
            rotation = np.linalg.qr(rng.normal(size=(c, c)))[0]
            if model.permutation == "invconv":
                values[scope + "invconv/W"] = (rotation * rng.uniform(0.9, 1.1, c)).astype("f4")
            elif model.permutation == "lu":
                # L and U are stored whole; only a triangle of each has an effect.
                normal(scope + "invconv/L", c, c)
                normal(scope + "invconv/U", c, c)
                normal(scope + "invconv/log_S", c)
                values[scope + "invconv/P"] = np.eye(c, dtype="f4")[rng.permutation(c)]
                values[scope + "invconv/sign_S"] = rng.choice([-1, 1], c).astype("f4")
            elif model.permutation == "shuffle":
                indices = rng.permutation(c).astype("int32")
                values[scope + "shuffle/indices"] = indices
                values[scope + "shuffle/indices_inverse"] = np.argsort(indices).astype("int32")
            normal(scope + "f1/l_1/W", 3, 3, c // 2 + 1, model.width, size=0.2)
            actnorm(scope + "f1/l_1/", model.width)
            normal(scope + "f1/l_2/W", 1, 1, model.width, model.width, size=0.3)
            actnorm(scope + "f1/l_2/", model.width)
            conv2d_zeros(scope + "f1/l_last", model.width, c if model.affine else c // 2)
        if level < model.n_levels - 1:
            conv2d_zeros(f"pool{level}/conv", c // 2, c)
    if model.learntop:
        conv2d_zeros("prior/p", 2 * c, 2 * c)
    if model.n_y:
        normal("prior/y_emb/W", model.n_y, 2 * c, size=0.5)
        normal("prior/y_emb/b", 1, 2 * c)
        normal("prior/y_emb/logs", 1, 2 * c)
        normal("classifier/W", c, model.n_y)
        normal("classifier/b", 1, model.n_y)
        normal("classifier/logs", 1, model.n_y)
    return values


def is_trained(name):
    return name.rpartition("/")[2] not in ("P", "sign_S", "indices", "indices_inverse")


def save(path, values):
    """Write a checkpoint of variables in the scope `model`."""
    names = [f"model/{name}" for name in values]
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=list(values.values()),
    )
    return path


def save_as_training_does(path, values, averages, averages_only=False):
    """Write a checkpoint as model.py does: `m.save`, or `m.save_ema` if `averages_only`."""
    with tf.Graph().as_default(), tf1.Session() as session:
        variables = {}
        for name, value in values.items():
            trained = is_trained(name)
            start = averages[name] if trained else value
            with tf1.variable_scope("model"):
                variables[name] = tf1.get_variable(name, initializer=start, trainable=trained)
        trained = tf1.trainable_variables()
        # As optim.py does; it means to give names, but the second argument is `trainable`.
        tf1.Variable(1.0, "adam_t")
        for variable in trained[:3]:
            tf1.Variable(tf.zeros(variable.shape), variable.name + "_adam_m2")
        average = tf1.train.ExponentialMovingAverage(0.9, zero_debias=True)
        average.apply(trained)
        saver = tf1.train.Saver(average.variables_to_restore() if averages_only else None)
        session.run(tf1.global_variables_initializer())
        starts = [variable.initializer for variable in variables.values()]
        weights = zip(starts, values.values(), strict=True)
        session.run(starts, {start.inputs[1]: value for start, value in weights})
        saver.save(session, str(path), write_meta_graph=False)
    return path


# Glow's equations, from the data to z.


def conv2d(x, w, edges):
    """A convolution whose last input channel, with `edges`, is 1 in the padding and 0 within."""
    batch, height, width, _ = x.shape
    if edges:
        frame = np.ones((batch, height + 2, width + 2, 1))
        frame[:, 1:-1, 1:-1] = 0
        x = np.concatenate([np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), frame], axis=-1)
    return sum(
        np.einsum("bhwi,io->bhwo", x[:, i : i + height, j : j + width], w[i, j])
        for i, j in np.ndindex(w.shape[:2])
    )


def squeeze2d(x):
    batch, height, width, c = x.shape
    z = np.zeros((batch, height // 2, width // 2, 4 * c))
    for i, j in np.ndindex(2, 2):
        z[..., 2 * i + j :: 4] = x[:, i::2, j::2]
    return z


def sigmoid(h):
    return 1 / (1 + np.exp(-h))


def gaussian(z, mean, logs):
    """What z is in units of its standard deviation, and its log-density."""
    eps = (z - mean) / np.exp(logs)
    return eps, np.sum(-0.5 * np.log(2 * np.pi) - logs - 0.5 * eps**2, axis=(1, 2, 3))


def evaluate(values, model, x, y):
    """The eps of all levels, finest first, and log p(x) in nats, of continuous pixels x."""
    v = {name: value.astype("float64") for name, value in values.items()}

    def actnorm(x, scope):
        logs = 3 * v[f"{scope}actnorm_scale/logs"]
        return (x + v[f"{scope}actnorm_center/b"]) * np.exp(logs), np.sum(logs)

    def conv2d_zeros(x, scope):
        h = conv2d(x, v[f"{scope}/W"], edges=True) + v[f"{scope}/b"]
        return h * np.exp(3 * v[f"{scope}/logs"])

    def network(x, scope):
        h = conv2d(x, v[f"{scope}/l_1/W"], edges=True)
        h = np.maximum(actnorm(h, f"{scope}/l_1/")[0], 0)
        h = conv2d(h, v[f"{scope}/l_2/W"], edges=False)
        h = np.maximum(actnorm(h, f"{scope}/l_2/")[0], 0)
        return conv2d_zeros(h, f"{scope}/l_last")

    def matrix(scope, c):
        if model.permutation == "invconv":
            return v[f"{scope}invconv/W"]
        if model.permutation == "lu":
            names = ("P", "L", "U", "log_S", "sign_S")
            p, lower, upper, log_s, sign_s = (v[f"{scope}invconv/{name}"] for name in names)
            lower = np.tril(lower, -1) + np.eye(c)
            upper = np.triu(upper, 1) + np.diag(sign_s * np.exp(log_s))
            return p @ lower @ upper
        order = np.arange(c)[::-1]
        if model.permutation == "shuffle":
            order = values[f"{scope}shuffle/indices"]
        return np.eye(c)[:, order]  # output channel j is input channel order[j]

    size = 2.0**model.n_bits_x
    z = squeeze2d(x / size - 0.5)
    total = -np.log(size) * np.prod(x.shape[1:])
    parts = []
    for level in range(model.n_levels):
        height, width, c = z.shape[1:]
        for step in range(model.depth):
            scope = f"{level}/{step}/"
            z, log_det = actnorm(z, scope)
            w = matrix(scope, c)
            z = z @ w
            total = total + height * width * (log_det + np.linalg.slogdet(w)[1])
            z1, z2 = np.split(z, 2, axis=-1)
            h = network(z1, f"{scope}f1")
            if model.affine:
                scale = sigmoid(h[..., 1::2] + 2)
                z2 = (z2 + h[..., 0::2]) * scale
                total = total + np.sum(np.log(scale), axis=(1, 2, 3))
            else:
                z2 = z2 + h
            z = np.concatenate([z1, z2], axis=-1)
        if level < model.n_levels - 1:
            z1, z2 = np.split(z, 2, axis=-1)
            h = conv2d_zeros(z1, f"pool{level}/conv")
            eps, log_p = gaussian(z2, h[..., 0::2], h[..., 1::2])
            parts.append(eps)
            total = total + log_p
            z = squeeze2d(z1)
    h = np.zeros((*z.shape[:3], 2 * c))
    if model.learntop:
        h = conv2d_zeros(h, "prior/p")
    if model.n_y:
        one_hot = np.eye(model.n_y)[y]
        logits = one_hot @ v["prior/y_emb/W"] + v["prior/y_emb/b"]
        h = h + (logits * np.exp(3 * v["prior/y_emb/logs"]))[:, np.newaxis, np.newaxis]
    eps, log_p = gaussian(z, h[..., :c], h[..., c:])
    return [*parts, eps], total + log_p


# What the converted flow computes.


def draw(model, n=3):
    """Continuous pixels, and labels or None."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 2**model.n_bits_x, (n, model.image_size, model.image_size, 3))
    return x, rng.integers(model.n_y, size=n) if model.n_y else None


def converted(path, model, **settings):
    return tool.convert(path, model.image_size, model.n_bits_x, **settings)


def errors(flow, values, model):
    """Largest differences between flow and equations: relative in log p, absolute in eps."""
    x, y = draw(model)
    parts, log_p = evaluate(values, model, x, y)
    ours = flow.multiscale.split(flow.encode(x, y))
    assert [part.shape for part in ours] == [part.shape for part in reversed(parts)]
    found = zip(ours, reversed(parts), strict=True)
    return (
        np.max(np.abs(flow.log_prob(x, y) - log_p) / np.abs(log_p)),
        max(np.max(np.abs(part.numpy() - expected)) for part, expected in found),
    )


@pytest.mark.parametrize("name", MODELS)
def test_flow_computes_the_equations(tmp_path, name):
    model = MODELS[name]
    values = make_variables(model)
    flow = converted(save(tmp_path / "glow.ckpt", values), model, dtype="float64")
    assert type(flow) is tfflows.Glow and not flow.transform.needs_adapt
    log_p_error, eps_error = errors(flow, values, model)
    assert log_p_error < 1e-12 and eps_error < 1e-11

    x, y = draw(model)
    parts, _ = evaluate(values, model, x, y)
    decoded = flow.decode(flow.multiscale.join(parts[::-1]), y)
    np.testing.assert_allclose(decoded, x, atol=1e-9 * 2**model.n_bits_x)


@pytest.mark.parametrize("name", ["affine", "additive_classes", "lu"])
def test_in_float32(tmp_path, name):
    model = MODELS[name]
    values = make_variables(model)
    flow = converted(save(tmp_path / "glow.ckpt", values), model)
    assert flow.compute_dtype == "float32"
    log_p_error, eps_error = errors(flow, values, model)
    assert log_p_error < 1e-6 and eps_error < 1e-4
    x, y = draw(model)
    np.testing.assert_allclose(flow.decode(flow.encode(x, y), y), x, atol=1e-4 * 256)


@pytest.mark.parametrize("constant", [1.0, 2.99])
def test_another_factor_of_the_log_scales_is_noticed(tmp_path, monkeypatch, constant):
    model = MODELS["affine"]
    values = make_variables(model)
    path = save(tmp_path / "glow.ckpt", values)
    monkeypatch.setattr(tool, "LOG_SCALE_FACTOR", constant)
    log_p_error, eps_error = errors(converted(path, model, dtype="float64"), values, model)
    assert log_p_error > 1e-6 and eps_error > 1e-4


@pytest.mark.parametrize("name", ["affine_classes", "lu"])
def test_averages_are_taken_unless_raw(tmp_path, name):
    model = dataclasses.replace(MODELS[name], n_levels=1, depth=1)
    values, averages = make_variables(model), make_variables(model, seed=1)
    averages |= {name: value for name, value in values.items() if not is_trained(name)}
    path = save_as_training_does(tmp_path / "glow.ckpt", values, averages)
    assert max(errors(converted(path, model, dtype="float64"), averages, model)) < 1e-11
    assert max(errors(converted(path, model, dtype="float64", raw=True), values, model)) < 1e-11
    assert min(errors(converted(path, model, dtype="float64"), values, model)) > 1e-3


def test_checkpoint_of_averages_only(tmp_path):
    model = dataclasses.replace(MODELS["lu"], n_levels=1)
    values = make_variables(model)
    path = save_as_training_does(tmp_path / "ema.ckpt", values, values, averages_only=True)
    assert max(errors(converted(path, model, dtype="float64"), values, model)) < 1e-11
    with pytest.raises(ValueError, match="moving averages only"):
        converted(path, model, raw=True)


def test_what_the_settings_become(tmp_path):
    model = MODELS["additive_classes"]
    flow = converted(save(tmp_path / "glow.ckpt", make_variables(model)), model, name="mine")
    config = flow.get_config()
    assert (config["levels"], config["steps"], config["width"]) == (2, 2, 8)
    assert (config["coupling"], config["permutation"]) == ("additive", "conv1x1")
    assert config["event_shape"] == [8, 8, 3] and config["num_classes"] == 4
    assert config["num_bits"] == 8 and config["name"] == "mine"


# The command.


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr("zoo.catalog._registered", {})


@pytest.mark.parametrize("name", ["affine", "additive_classes"])
def test_command_writes_what_the_zoo_loads(tmp_path, capsys, registry, name):
    model = MODELS[name]
    path = save(tmp_path / "glow.ckpt", make_variables(model))
    out = tmp_path / "new" / "my_glow"
    assert tool.main([f"{path}.index", str(out), "--image-size", "8", "--num-bits", "8"]) == 0
    printed = capsys.readouterr().out
    assert name.split("_")[0] in printed and str(out) in printed
    assert sorted(file.name for file in out.iterdir()) == ["config.json", "model.weights.h5"]
    assert json.loads((out / "config.json").read_text())["flow"] == "Glow"
    zoo.register("my_glow", out)
    flow = zoo.load("my_glow", weights=out / "model.weights.h5")
    x, y = draw(model)
    expected = converted(path, model)
    np.testing.assert_array_equal(flow.log_prob(x, y), expected.log_prob(x, y))


def test_command_does_not_overwrite(tmp_path, capsys):
    path = save(tmp_path / "glow.ckpt", make_variables(MODELS["one_level"]))
    out = tmp_path / "out"
    out.mkdir()
    arguments = [str(path), str(out), "--image-size", "8", "--num-bits", "5"]
    assert tool.main(arguments) == 1
    assert "exists" in capsys.readouterr().err and not list(out.iterdir())


def test_command_without_checkpoint(tmp_path, capsys):
    path, out = tmp_path / "none.ckpt", tmp_path / "out"
    arguments = [str(path), str(out), "--image-size", "8", "--num-bits", "5"]
    assert tool.main(arguments) == 1
    assert "none.ckpt.index" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize("missing", ["--image-size", "--num-bits"])
def test_command_needs_what_the_checkpoint_does_not_tell(tmp_path, capsys, missing):
    arguments = {"--image-size": "8", "--num-bits": "5"}
    del arguments[missing]
    with pytest.raises(SystemExit):
        tool.main(["a", "b", *next(iter(arguments.items()))])
    assert missing in capsys.readouterr().err


# Bad checkpoints.


def shapes(values):
    return {name: value.shape for name, value in values.items()}


def test_damaged_files(tmp_path):
    model = MODELS["one_level"]
    path = save(tmp_path / "glow.ckpt", make_variables(model))
    data = Path(f"{path}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"glow\.ckpt cannot be read"):
        converted(path, model)
    Path(f"{path}.index").write_bytes(b"no index")
    with pytest.raises(ValueError, match=r"glow\.ckpt cannot be read"):
        converted(path, model)
    data.unlink()
    with pytest.raises(ValueError, match=r"glow\.ckpt cannot be read"):
        converted(path, model)


@pytest.mark.parametrize("values", [{}, {"dense/kernel": np.ones([2, 2], "f4")}])
def test_checkpoint_of_something_else(tmp_path, values):
    path = save(tmp_path / "other.ckpt", {"step": np.ones([], "f4"), **values})
    with pytest.raises(ValueError, match=r"no checkpoint of OpenAI's Glow.*model/step"):
        tool.convert(path, 8, 8)


REMOVED = {
    "0/0/actnorm_center/b": "lacks the variable model/0/0/actnorm_center/b",
    "0/0/f1/l_1/W": "lacks the variable model/0/0/f1/l_1/W",
    "1/1/f1/l_last/logs": r"lacks 1 variables .*levels=2, steps=2.*model/1/1/f1/l_last/logs",
    "1/1/invconv/W": "lacks 1 variables .*invconv.*: model/1/1/invconv/W",
    "pool0/conv/W": "lacks 1 variables .*: model/pool0/conv/W",
    "prior/p/b": "lacks 1 variables .*learntop=True.*: model/prior/p/b",
    "prior/y_emb/W": "lacks the variable model/prior/y_emb/W",
}
ADDED = {
    "0/0/f1/l_1/b": ([8], "has 1 variables that a model .*: model/0/0/f1/l_1/b"),
    "pool1/conv/W": ([3, 3, 13, 24], "has 1 variables .*: model/pool1/conv/W"),
    "0/0/shuffle/indices": ([12], "has 1 variables .*invconv.*: model/0/0/shuffle/indices"),
    "2/0/actnorm_center/b": ([1, 1, 1, 48], r"lacks \d+ variables .*levels=3"),
}
RESHAPED = {
    "0/0/actnorm_center/b": ([12], r"actnorm_center/b has shape \(12,\); expected 4 axes"),
    "0/1/actnorm_scale/logs": ([1, 1, 1, 6], r"\(1, 1, 1, 6\).*\(1, 1, 1, 12\)"),
    "0/0/f1/l_last/W": ([3, 3, 9, 7], "has 7 outputs for 12 channels; expected 6 .* or 12"),
    "1/0/f1/l_1/W": ([3, 3, 12, 8], r"\(3, 3, 12, 8\), but .* has \(3, 3, 13, 8\)"),
    "prior/p/W": ([3, 3, 48, 48], r"\(3, 3, 48, 48\), but .* \(3, 3, 49, 48\)"),
    "prior/y_emb/logs": ([48], r"\(48,\), but .*num_classes=4 has \(1, 48\)"),
}


@pytest.mark.parametrize("name", REMOVED)
def test_missing_variable(name):
    found = shapes(make_variables(MODELS["affine_classes"]))
    del found[name]
    with pytest.raises(ValueError, match=REMOVED[name]):
        tool.settings_of(found)


@pytest.mark.parametrize("name", [*ADDED, *RESHAPED])
def test_unknown_variable_or_wrong_shape(name):
    shape, message = (ADDED | RESHAPED)[name]
    found = shapes(make_variables(MODELS["affine_classes"])) | {name: tuple(shape)}
    with pytest.raises(ValueError, match=message):
        tool.settings_of(found)


def test_channels_that_no_squeeze_makes():
    found = shapes(make_variables(MODELS["one_level"]))
    with pytest.raises(ValueError, match="10 channels, .* multiple of 4"):
        tool.settings_of(found | {"0/0/actnorm_center/b": (1, 1, 1, 10)})


@pytest.mark.parametrize(
    ("model", "name", "value", "message"),
    [
        ("affine", "1/0/f1/l_2/W", np.nan, "model/1/0/f1/l_2/W has values that are not finite"),
        ("affine", "prior/p/logs", np.inf, "model/prior/p/logs has values that are not finite"),
        ("affine", "1/1/invconv/W", 0.0, "model/1/1/invconv/W is singular"),
        ("shuffle", "0/1/shuffle/indices", 3, r"indices should be each of 0 ... 11 once"),
    ],
)
def test_bad_values(tmp_path, model, name, value, message):
    values = make_variables(MODELS[model])
    values[name] = np.full_like(values[name], value)
    with pytest.raises(ValueError, match=message):
        tool.convert(save(tmp_path / "glow.ckpt", values), 8, 8)


def test_averages_of_some_variables(tmp_path):
    values = make_variables(MODELS["one_level"])
    values["0/0/invconv/W/ExponentialMovingAverage"] = values["0/0/invconv/W"]
    path = save(tmp_path / "glow.ckpt", values)
    with pytest.raises(ValueError, match=r"averages of 1 variables, but not of .*--raw"):
        tool.convert(path, 8, 5)
    assert tool.convert(path, 8, 5, raw=True).count_params() > 0


@pytest.mark.parametrize("size", [0, -8, 6, 9])
def test_image_size_that_the_levels_do_not_divide(tmp_path, size):
    path = save(tmp_path / "glow.ckpt", make_variables(MODELS["affine"]))
    with pytest.raises(ValueError, match=f"2 levels, so 4 divides .* image size of {size}"):
        tool.convert(path, size, 8)


def test_bits_that_no_image_has(tmp_path):
    path = save(tmp_path / "glow.ckpt", make_variables(MODELS["one_level"]))
    with pytest.raises(ValueError, match="num_bits must be an integer from 1 to 8"):
        tool.convert(path, 8, 9)
