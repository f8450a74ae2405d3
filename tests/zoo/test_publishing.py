"""`zoo.publish`: every file from one run, figures measured on the test split, or nothing."""

import json

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from zoo_copies import WEIGHTS, sha256

import tfflows
import zoo
from tfflows import evaluate
from tfflows.data import Dataset, Split
from tfflows.training import Recipe, train
from zoo.cards import _training
from zoo.publishing import round_weights

pytestmark = pytest.mark.slow
FILES = ["card.md", "config.json", "metadata.json", WEIGHTS, "recipe.json"]
FILES += ["reference.npz", "samples.png"]


@pytest.fixture(scope="module")
def image_entry(image_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("entries") / "blocks"
    published = {"good figure": 0.5, "bad figure": 50.0}
    return zoo.publish(image_run[0], "blocks", "Blocks.", "A paper.", published, folder)


def facts_of(entry) -> dict:
    return json.loads((entry / "metadata.json").read_text(encoding="utf-8"))


def test_files_and_checksum(published, run):
    assert sorted(path.name for path in published.iterdir()) == sorted(FILES)
    weights = facts_of(published)["weights"]
    assert weights["sha256"] == sha256(published / WEIGHTS)
    assert weights["bytes"] == (published / WEIGHTS).stat().st_size
    recipe = Recipe.from_file(published / "recipe.json")
    assert recipe.expected and recipe.cost
    trained = Recipe.from_file(run[0] / "recipe.json")
    assert recipe.replace(expected=trained.expected, cost=trained.cost) == trained
    config = json.loads((published / "config.json").read_text())
    assert config["flow"] == "RealNVP" and config["config"]["hidden"] == [8]
    with Image.open(published / "samples.png") as picture:
        picture.load()


def test_figures_are_those_of_the_test_split(published, run, table):
    facts, flow, data = facts_of(published), run[1], tfflows.data.load(table)
    nll = -flow.log_prob(data.test.x).numpy().astype("float64")
    assert facts["split"] == "test" and facts["num_bits"] is None
    assert facts["likelihood"]["nll"] == pytest.approx(nll.mean(), rel=1e-5)
    error = nll.std(ddof=1) / np.sqrt(len(nll))
    assert facts["likelihood"]["standard_error"] == pytest.approx(error, rel=1e-4)
    assert facts["likelihood"]["num_examples"] == len(data.test) == 40
    gaussian = scipy.stats.multivariate_normal(data.train.x.mean(0), np.cov(data.train.x.T, ddof=0))
    baseline, kernels = facts["baselines"].values()
    assert baseline["nll"] == pytest.approx(-gaussian.logpdf(data.test.x).mean(), rel=1e-5)
    density = evaluate.kernel_density_likelihood(data.train.x, data.validation.x, data.test.x)
    assert kernels["nll"] == density.nll
    assert facts["parameters"] == sum(int(np.prod(w.shape)) for w in flow.trainable_weights)
    assert facts["training"]["epochs"] == 2
    assert 0 <= facts["round_trip_error"] < 1e-5


def test_card_says_what_was_measured(published):
    facts, card = facts_of(published), (published / "card.md").read_text(encoding="utf-8")
    assert card.splitlines()[:3] == ["# tiny", "", "A tiny flow of made-up points."]
    measured = facts["likelihood"]
    assert f"{measured['nll']:.4f} ± {measured['standard_error']:.4f} nats" in card
    assert "bits/dim" not in card
    assert facts["weights"]["sha256"] in card
    assert 'zoo.load("tiny")' in card


def test_entry_of_labelled_images(image_entry, image_run):
    facts, card = facts_of(image_entry), (image_entry / "card.md").read_text(encoding="utf-8")
    measured = facts["likelihood"]
    assert facts["num_bits"] == 8 and measured["num_draws"] == 10
    assert measured["bits_per_dim"] == pytest.approx(measured["nll"] / 16 / np.log(2))
    assert f"{measured['bits_per_dim']:.4f} ±" in card and "10 draws per image" in card
    assert "| paper | A paper. |" in card
    bits = measured["bits_per_dim"]
    assert f"good figure | 0.5 bits/dim; this flow is {bits - 0.5:.3f} bits/dim worse" in card
    assert f"bad figure | 50.0 bits/dim; this flow is {50 - bits:.3f} bits/dim better" in card
    zoo.register("blocks", image_entry)
    x = np.full([3, 4, 4, 1], 7.5, "float32")
    expected = image_run[1].log_prob(x, [0, 1, 2])
    np.testing.assert_allclose(zoo.load("blocks").log_prob(x, [0, 1, 2]), expected, rtol=1e-5)
    with np.load(image_entry / "reference.npz") as reference:
        assert reference["context"].tolist() == [i % 3 for i in range(16)]
        np.testing.assert_array_equal(reference["x"] % 1, 0.5)
    assert zoo.verify("blocks").ok


def test_the_cards_example_names_a_class_that_exists(image_entry):
    # The labels are 0, 1 and 2.
    card = (image_entry / "card.md").read_text(encoding="utf-8")
    assert "context=" in card and "context=3" not in card


def test_weights_have_16_significant_bits():
    flow = tfflows.RealNVP((3,), num_couplings=1, hidden=(50,))
    before = [weight.numpy() for weight in flow.weights]
    round_weights(flow)
    for weight, old in zip(flow.weights, before, strict=True):
        new = weight.numpy()
        np.testing.assert_allclose(new, old, rtol=2.0**-16)
        mantissa, _ = np.frexp(new.astype("float64"))
        np.testing.assert_array_equal(mantissa * 2**16 % 1, 0)
    assert any(np.any(w.numpy() != old) for w, old in zip(flow.weights, before, strict=True))


def test_references_are_the_flows_own_samples(published, run, table):
    x, flow = np.load(table)["x"], run[1]
    with np.load(published / "reference.npz", allow_pickle=False) as reference:
        tensors = [key for key in sorted(reference) if "." not in key]
        assert tensors == ["log_prob", "samples", "x", "z"]
        assert {"score.score", "sample.x", "anomaly.p_value"} <= set(reference)
        np.testing.assert_allclose(reference["decode.x"], reference["x"][:4], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reference["x"], flow.sample(16, seed=0), rtol=1e-5, atol=1e-6)
        distance = np.abs(reference["x"][:, None] - x[None]).max(-1)
        assert distance.min() > 1e-6, "A point of the data set was copied."


def test_exact_density_where_it_is_known(run, tmp_path):
    x = tfflows.data.toy.eight_gaussians(60, 3)[0]
    split = Split(x)
    names = ("east", "north")
    data = Dataset("eight_gaussians", "Drawn.", split, split, split, None, column_names=names)
    entry = zoo.publish(run[0], "eight", "Eight.", folder=tmp_path / "eight", data=data)
    centres = [(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4]
    parts = [scipy.stats.multivariate_normal(np.sqrt(8) * np.array(c), 1 / 8) for c in centres]
    exact = -np.log(np.mean([part.pdf(x) for part in parts], axis=0)).mean()
    assert facts_of(entry)["baselines"]["exact density"]["nll"] == pytest.approx(exact, rel=1e-5)
    assert facts_of(entry)["columns"] == ["east", "north"]  # for the page of an export


def test_existing_folder_is_not_overwritten(run, tmp_path):
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="exists; delete it first"):
        zoo.publish(run[0], "tiny", "", folder=tmp_path / "entry")
    assert [path.name for path in (tmp_path / "entry").iterdir()] == ["mine.txt"]


def test_unfinished_run_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(FileNotFoundError, match="is not finished: it has no run.json"):
        zoo.publish(tmp_path / "run", "tiny", "", folder=tmp_path / "entries" / "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_nothing_is_left_where_measuring_fails(run, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(evaluate, "gaussian_likelihood", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        zoo.publish(run[0], "tiny", "", folder=tmp_path / "entries" / "tiny")
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.name == "tiny"] == []


@pytest.fixture(scope="module")
def attributes_entry(tmp_path_factory):
    """Folder of an entry of an unconditional flow of images with attributes, flow and data."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(2)
    y = rng.integers(2, size=(60, 2)).astype("float32")
    x = rng.integers(0, 100, size=(60, 4, 4, 3)) + 100 * y[:, 1].reshape(-1, 1, 1, 1)
    rows = np.split(np.arange(60), [30, 40])
    splits = [Split(x[part].astype("uint8"), y[part]) for part in rows]
    names = ("Hat", "Smiling")
    data = Dataset("faces", "Drawn.", *splits, num_bits=8, attribute_names=names)
    config = {"levels": 1, "steps": 1, "width": 4, "prior_width": 4}
    recipe = Recipe("Glow", "faces", config, epochs=1, batch_size=10, learning_rate=0.001)
    flow = train(recipe, folder / "run", data, write=lambda line: None)
    entry = zoo.publish(folder / "run", "faces", "Faces.", folder=folder / "entry", data=data)
    return entry, flow, data


def test_pictures_are_of_the_flows_own_images(attributes_entry):
    entry = attributes_entry[0]
    card = (entry / "card.md").read_text(encoding="utf-8")
    pictures = facts_of(entry)["pictures"]
    assert list(pictures) == ["temperatures.png", "interpolations.png", "attributes.png"]
    for name, caption in pictures.items():
        assert f"]({name})" in card and caption in card
        with Image.open(entry / name) as picture:
            assert np.asarray(picture).std() > 1


def test_directions_of_attributes_are_published_and_exported(attributes_entry, tmp_path):
    entry, flow, data = attributes_entry
    zoo.register("faces", entry)
    ((name, direction),) = zoo.directions("faces").items()
    z = flow.encode(data.train.x + np.float32(0.5)).numpy()
    has_it = data.train.y[:, data.attribute_names.index(name)] == 1
    expected = z[has_it].mean(0) - z[~has_it].mean(0)
    assert name == "Smiling" and np.abs(expected).max() > 0.1
    np.testing.assert_allclose(direction, expected, rtol=2e-3, atol=2e-3)  # of float16
    extra = zoo.export("faces", tmp_path) / "assets.extra"
    found = json.loads((extra / "attributes.json").read_text())
    np.testing.assert_array_equal(found.pop("Smiling"), direction.reshape(-1))
    assert found == {}


def test_what_is_measured_of_samples(attributes_entry):
    entry, flow, data = attributes_entry
    facts = facts_of(entry)
    bound = facts["importance_weighted"]
    assert bound["num_draws"] == 16 and bound["estimator"].endswith("importance-weighted")
    expected = evaluate.importance_weighted_bound(flow, data.test.x, num_samples=16)
    assert bound["nll"] == pytest.approx(expected.nll, rel=1e-5)
    assert list(facts["sliced_wasserstein"]) == [
        "samples at temperature 1",
        "samples at temperature 0.7",
        "training images",
    ]
    x, train = (split.x.reshape(len(split), -1).astype(float) for split in (data.test, data.train))
    distances = np.sqrt(((x[:, None] - train) ** 2).mean(-1)).min(1)
    found = facts["nearest_training_image"]["test images"]
    assert found["smallest"] == pytest.approx(distances.min())
    assert found["median"] == pytest.approx(np.median(distances))
    card = (entry / "card.md").read_text(encoding="utf-8")
    assert f"test images {np.median(distances):.1f} (smallest {distances.min():.1f})" in card


def test_the_card_says_that_patience_ended_a_run():
    recipe = Recipe("RealNVP", "moons", epochs=50, patience=3)
    assert "50 epochs, of which it took 7: it ends after 3 epochs without" in _training(recipe, 7)
    assert "50 epochs, seed 0." in _training(recipe, 50)
