"""Every entry that comes with the package is whole, small and as published."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from c_program import UNSERVED, run_predict
from PIL import Image
from zoo_copies import WEIGHTS, sha256

import zoo
from tfflows.flows import flow_class
from zoo import reference

MODELS = Path(zoo.__file__).parent / "models"
BUILT_IN = zoo.list(pretrained=True)
FILES = {"config.json", WEIGHTS, "recipe.json", "metadata.json", "card.md", "reference.npz"}
TABLES = {"ffjord_protein", "realnvp_protein"}  # of which no picture can be drawn
LARGE = {"glow_celeba": 12_000_000}  # bytes; the others have 8 MB
FIRST_SIX = {
    "nice_digits",
    "nice_mnist",
    "realnvp_digits",
    "realnvp_digits_conditional",
    "realnvp_eight_gaussians",
    "realnvp_moons",
}


def test_the_first_six_are_there():
    assert set(BUILT_IN) >= FIRST_SIX


@pytest.mark.parametrize("name", BUILT_IN)
def test_files_are_whole(name):
    folder = MODELS / name
    pictures = zoo.metadata(name).get("pictures", {})
    directions = {"attributes.npz"} if "attributes.png" in pictures else set()
    samples = set() if name in TABLES else {"samples.png"}
    assert {path.name for path in folder.iterdir()} == FILES | samples | set(pictures) | directions
    assert bool(zoo.directions(name)) == bool(directions)
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert total <= LARGE.get(name, 8_000_000)
    weights = zoo.metadata(name)["weights"]
    assert weights["sha256"] == sha256(folder / WEIGHTS)
    assert weights["bytes"] == (folder / WEIGHTS).stat().st_size
    for picture in samples:
        with Image.open(folder / picture) as image:
            image.load()
            assert min(image.size) >= 100


@pytest.mark.parametrize("name", BUILT_IN)
def test_card_says_what_the_metadata_say(name):
    facts, card = zoo.metadata(name), zoo.card(name)
    assert facts["name"] == name and facts["summary"]
    assert card.splitlines()[:3] == [f"# {name}", "", facts["summary"]]
    for likelihood in (facts["likelihood"], *facts["baselines"].values()):
        assert f"{likelihood['nll']:.4f} ± {likelihood['standard_error']:.4f} nats" in card
        if facts["num_bits"] is not None:
            assert (
                f"{likelihood['bits_per_dim']:.4f} ± "
                f"{likelihood['bits_per_dim_standard_error']:.4f} bits/dim" in card
            )
    assert f"{facts['parameters']:,}" in card and facts["weights"]["sha256"] in card
    training = facts["training"]
    assert f"{training['epochs']} epochs" in card and f"epoch {training['best_epoch']};" in card


@pytest.mark.parametrize("name", BUILT_IN)
def test_recipe_and_configuration_agree(name):
    recipe = zoo.recipe(name)
    described = json.loads((MODELS / name / "config.json").read_text(encoding="utf-8"))
    assert described["flow"] == recipe.flow
    config, facts = described["config"], zoo.metadata(name)
    if {key: config[key] for key in recipe.config} != recipe.config:
        # A recipe may say "exact" where the configuration has all fields of the estimator.
        flows = [
            flow_class(recipe.flow).from_config(c) for c in ({**config, **recipe.config}, config)
        ]
        assert flows[0].get_config() == flows[1].get_config()
    assert (config["num_classes"] is not None) == recipe.conditional
    assert config["num_bits"] == facts["num_bits"]
    assert facts["data"]["name"] == recipe.data
    assert facts["training"]["epochs"] == recipe.epochs


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in UNSERVED)) for n in BUILT_IN],
)
def test_it_computes_what_was_published(name):
    # The signatures of the others are asked of their exports: server_tests.
    result = zoo.verify(name, signatures=name in UNSERVED)
    assert result.ok, str(result)
    measured = zoo.metadata(name)["likelihood"]
    for figure in zoo.metadata(name)["baselines"].items():
        if figure[0].startswith("full-covariance"):
            assert measured["nll"] < figure[1]["nll"], "It is no better than a Gaussian."


RESIDUAL = [name for name in BUILT_IN if "lipschitz" in zoo.metadata(name).get("diagnostics", {})]


@pytest.mark.slow
@pytest.mark.parametrize("name", RESIDUAL)
def test_every_block_is_a_contraction(name):
    """By the certificate, computed anew, which no stretch that was found exceeds."""
    published = zoo.metadata(name)["diagnostics"]["lipschitz"]
    blocks = zoo.load(name).blocks
    assert len(blocks) == len(published)
    for block, bounds in zip(blocks, published, strict=True):
        assert bounds["empirical"] <= block.network.lipschitz_bound() < 1


# Of points, of pixels, with a context; server_tests have more, which takes long.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["realnvp_moons", "nice_digits", "realnvp_digits_conditional"])
def test_exported_entry_answers_as_published(name, predict, tmp_path):
    """In a process that has neither Keras nor TFP nor Python."""
    path = zoo.export(name, tmp_path)
    with np.load(MODELS / name / "reference.npz") as published:
        inputs = reference.served_inputs(published)
        outputs = {key: published[key] for key in published if "." in key}
    signatures = sorted({key.split(".")[0] for key in outputs})
    result = run_predict(predict, path, tmp_path, signatures, inputs)
    assert result.returncode == 0, result.stderr
    for key, expected in outputs.items():
        found = np.load(tmp_path / f"{key}.npy")
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max(), key
    # What is drawn by seed is the same to the bit, wherever the kernels are the same.
    for signature in {"sample", "bits_per_dim", "log_prob_estimate"} & set(signatures):
        function = tf.saved_model.load(path).signatures[signature]
        specs = function.structured_input_signature[1]
        for key, value in function(**{name: tf.constant(inputs[name]) for name in specs}).items():
            found = np.load(tmp_path / f"{signature}.{key}.npy")
            np.testing.assert_array_equal(found, value, err_msg=f"{signature}.{key}")
