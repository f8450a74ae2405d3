"""Recipes as files, and what is refused."""

import json

import pytest
from training_runs import tiny_data, tiny_images, tiny_recipe

import tfflows
from tfflows.data import Dataset, Split
from tfflows.training import Recipe, losses


def test_round_trip_through_json(tmp_path):
    recipe = Recipe(
        flow="NICE",
        data="digits",
        config={"num_couplings": 3, "hidden": [16, 8], "base": "logistic"},
        conditional=True,
        epochs=7,
        batch_size=32,
        learning_rate=5e-4,
        weight_decay=0.01,
        global_clipnorm=2.5,
        jit_compile=True,
        seed=4,
        expected="1.2 bits/dim (Größe ± 0.1)",
        cost="1 minute",
    )
    recipe.to_file(tmp_path / "r.json")
    assert Recipe.from_file(tmp_path / "r.json") == recipe
    values = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert values["config"]["hidden"] == [16, 8] and values["global_clipnorm"] == 2.5


def test_round_trip_of_tuples_which_json_does_not_have(tmp_path):
    recipe = tiny_recipe(config={"num_couplings": 2, "hidden": (8,)})
    recipe.to_file(tmp_path / "r.json")
    assert Recipe.from_file(tmp_path / "r.json") == recipe


def test_a_file_needs_flow_and_data_only(tmp_path):
    (tmp_path / "r.json").write_text('{"flow": "RealNVP", "data": "moons"}')
    assert Recipe.from_file(tmp_path / "r.json") == Recipe("RealNVP", "moons")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no recipe at .*nothing\.json"):
        Recipe.from_file(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"flow": "NICE", ', "not valid JSON"),
        ("", "not valid JSON"),
        ("\xff\xfe", "not valid JSON"),
        ('{"flow": "NICE", "data": "moons", "epoch": 3}', r"unknown keys \['epoch'\]"),
        ('{"data": "moons"}', r"lacks \['flow'\]"),
        ("{}", r"lacks \['data', 'flow'\]"),
        ("[]", "r.json"),
        ("3", "r.json"),
        ("null", "r.json"),
    ],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "r.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        Recipe.from_file(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", "3"),
        ("batch_size", 0),
        ("batch_size", -4),
        ("batch_size", None),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("learning_rate", "fast"),
        ("passes_per_epoch", 0),
        ("patience", 0),
        ("patience", 1.5),
        ("gradient_accumulation", 0),
        ("gradient_accumulation", 5),
        ("precision", "bfloat16"),
        ("memory", "less"),
    ],
)
def test_bad_values_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*{value!r}"):
        tiny_recipe(**{name: value})


def test_memory_and_precision_reach_the_flow():
    recipe = tiny_recipe(memory="invert", precision="mixed_bfloat16")
    flow = recipe.build_flow(tiny_data())
    assert flow.memory == "invert"
    assert flow.transform.layers[0].conditioner.compute_dtype == "bfloat16"
    assert flow.compute_dtype == "float32"
    other = tiny_recipe().build_flow(tiny_data())
    assert other.memory == "store"
    assert other.transform.layers[0].conditioner.compute_dtype == "float32"


def test_replace_checks_too():
    recipe = tiny_recipe()
    assert recipe.replace(epochs=9).epochs == 9 and recipe.epochs == 3
    with pytest.raises(ValueError, match="epochs"):
        recipe.replace(epochs=0)


@pytest.mark.parametrize("name", ["Nice", "coupling", "os", ""])
def test_unknown_flow(name):
    with pytest.raises(ValueError, match=f"There is no flow '{name}': expected one of .*RealNVP"):
        tiny_recipe(flow=name).build_flow(tiny_data())


def test_unknown_hyper_parameter():
    with pytest.raises(ValueError, match="couplings_number"):
        tiny_recipe(config={"couplings_number": 2}).build_flow(tiny_data())
    with pytest.raises(ValueError, match="does not fit Flow: .*transform"):
        tiny_recipe(flow="Flow", config={}).build_flow(tiny_data())
    with pytest.raises(ValueError, match="must not have .*num_bits"):
        tiny_recipe(config={"num_bits": 2}).build_flow(tiny_data())


def test_conditional_without_labels():
    x = tiny_data().train.x
    data = Dataset("plain", "", Split(x), Split(x), Split(x), None)
    with pytest.raises(ValueError, match="conditional.*'plain' has neither labels nor attributes"):
        tiny_recipe(conditional=True).build_flow(data)


def test_the_data_set_decides_shape_bits_and_classes():
    images = tiny_images()
    flow = tiny_recipe(flow="NICE", conditional=True).build_flow(images)
    assert isinstance(flow, tfflows.NICE)
    assert (flow.event_shape, flow.num_bits, flow.num_classes) == ((4, 4, 1), 4, 2)
    assert tiny_recipe().build_flow(images).num_classes is None
    assert tiny_recipe().build_flow(tiny_data()).num_bits is None


SOLVER = tfflows.ode.RungeKutta4(3)


@pytest.mark.parametrize(
    "config",
    [
        {"solver": "rk4", "num_steps": 3},
        {"solver": {"class_name": "tfflows>RungeKutta4", "config": {"steps": 3}}},
        {"solver": SOLVER},
    ],
    ids=["0.1.0", "serialised", "value"],
)
def test_settings_of_a_flow_that_are_values(config, tmp_path):
    recipe = tiny_recipe(flow="FFJORD", config={"hidden": [4], **config})
    recipe.to_file(tmp_path / "r.json")
    loaded = Recipe.from_file(tmp_path / "r.json")
    assert loaded == recipe
    assert loaded.build_flow(tiny_data()).blocks[0].solver == SOLVER


def test_a_loss_that_is_a_value(tmp_path):
    loss = losses.NegativeLogLikelihood(kinetic_energy=0.1)
    recipe = tiny_recipe(loss=loss, pretraining={"loss": losses.FlowMatching(), "epochs": 2})
    recipe.to_file(tmp_path / "r.json")
    loaded = Recipe.from_file(tmp_path / "r.json")
    assert loaded == recipe
    assert losses.as_loss(loaded.loss) == loss
    assert losses.as_loss(loaded.first_recipe().loss) == losses.FlowMatching()


def test_what_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match=r"JSON, which does not know \{1\}"):
        tiny_recipe(config={"hidden": {1}})


def test_the_seed_decides_the_initial_weights():
    def kernels(seed):
        flow = tiny_recipe(seed=seed).build_flow(tiny_data())
        return [w.numpy().tolist() for w in flow.trainable_weights]

    assert kernels(3) == kernels(3)
    assert kernels(3) != kernels(4)


def test_pretraining_differs_from_its_recipe_in_what_it_names():
    recipe = tiny_recipe(pretraining={"epochs": 5, "loss": "flow_matching"})
    first = recipe.first_recipe()
    assert first == tiny_recipe(epochs=5, loss="flow_matching")
    assert tiny_recipe().first_recipe() is None


def test_pretraining_cannot_change_the_flow():
    with pytest.raises(ValueError, match=r"pretraining changes some of .*found \['config'\]"):
        tiny_recipe(pretraining={"config": {"hidden": [2]}})
    with pytest.raises(ValueError, match="epochs must be an integer of at least 1, but found 0"):
        tiny_recipe(pretraining={"epochs": 0})
