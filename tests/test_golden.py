"""Files of before load, and answer what they answered (`tools/golden_files.py`)."""

import json
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import cases_of

import tfflows.flows  # noqa: F401  (what Keras is to load)

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.keras"))
# One of each kind in every run of the tests, all of them in the slow ones.
FAST = {"chain", "glow", "iaf", "iresnet", "nice", "realnvp_fitted"}
every_file = pytest.mark.parametrize("name", cases_of(NAMES, {*NAMES} - FAST))

# Relative to the largest value. Float32 has 6e-8; a pass adds up some ten layers of some ten terms
# each, which the next layers stretch less than tenfold.
COUPLINGS = 1e-5
# The steps of an adaptive solver follow from sums whose order processors choose: answers may differ
# by its tolerance (rtol 1e-6), which the rest of the flow stretches. The inverse of a residual
# block ends at 2e-6, stretched by 1 / (1 - c) in each block.
EQUATIONS = 2e-4
SOLVED = ("ffjord", "iresnet", "residual", "equations", "hybrid")


def load(name):
    with warnings.catch_warnings():
        # The state of an optimizer whose weights were not yet stacked.
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        model = keras.saving.load_model(FOLDER / f"{name}.keras")
    with np.load(FOLDER / f"{name}.npz") as file:
        return model, dict(file)


def test_there_are_files_of_all_families():
    classes = {json.loads(config_text(name))["class_name"] for name in NAMES}
    assert {
        *("FFJORD", "Flow", "Glow", "HybridClassifier", "IAF", "IResNet", "ImageRealNVP", "MAF"),
        *("NAF", "NICE", "NSF", "PlanarFlow", "RealNVP", "ResidualFlow", "SylvesterFlow"),
    } <= classes
    assert [path.stem for path in sorted(FOLDER.glob("*.npz"))] == NAMES


def config_text(name):
    with zipfile.ZipFile(FOLDER / f"{name}.keras") as archive:
        return archive.read("config.json")


@every_file
def test_a_file_answers_what_it_answered(name):
    model, published = load(name)
    flow = getattr(model, "flow", model)
    flow.run_eagerly = True  # which takes less time than a trace for one call
    context, x = published.get("context"), tf.constant(published["x"])
    found = {
        "log_prob": flow.log_prob(x, context),
        "z": flow.encode(x, context),
        "samples": flow.sample(len(x), 0.8, seed=5, context=context),
    }
    if "score" in published:
        found["score"] = flow.score(x, context)
    if "pixels" in published:
        pixels = published["pixels"]
        found["log_prob_of_pixels"] = flow.log_prob(pixels, context, seed=7)
    tolerance = EQUATIONS if name.startswith(SOLVED) else COUPLINGS
    for key, value in found.items():
        largest = np.max(np.abs(published[key]))
        deviation = np.max(np.abs(value.numpy() - published[key])) / largest
        assert deviation <= tolerance, f"{key} is off by {deviation:.1e} of {largest:.3g}"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_fitted")])
def test_training_goes_on(name):
    flow, published = load(name)
    x = published.get("pixels", published["x"])
    history = flow.fit(x, batch_size=len(x), epochs=2, verbose=0)
    assert np.all(np.isfinite(history.history["nll"]))
