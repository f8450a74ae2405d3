"""From a finished training run to the folder of a zoo entry, every figure measured here."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo import diagnostics
from zoo.cards import card_text, figure, minutes
from zoo.catalog import MODELS
from zoo.loading import WEIGHTS, sha256_of

if TYPE_CHECKING:
    from tfflows.data import Dataset


_NUM_FEW = 256
_NUM_IMPORTANCE_SAMPLES = 16
# Draws of the noise, and images for the importance-weighted bound; and both where a draw takes
# minutes: for images of more than `reference.LARGE` values, or with estimated log-dets of more
# dimensions than these.
_NUM_DRAWS, _NUM_BOUND = 10, 256
_NUM_LONG_DRAWS, _NUM_LONG_BOUND = 2, 64
_MOST_ESTIMATED_DIMS = 256
_TEMPERATURES = (1.0, 0.7)
# The Gaussian's covariance has as many rows.
_MOST_DIMS_OF_BASELINE = 2048


def publish(
    run: str | os.PathLike,
    name: str,
    summary: str,
    source: str = "",
    published: dict[str, float] | None = None,
    folder: str | os.PathLike | None = None,
    data: Dataset | None = None,
    licence: str = "Apache-2.0",
    temperature: float = 1.0,
) -> Path:
    """Measure a trained flow on the test split and write its entry.

    The entry holds `config.json`, `model.weights.h5`, `recipe.json`, `metadata.json`, `card.md`,
    `reference.npz`, `samples.png`, for an unconditional image flow the pictures of `zoo.pictures`,
    and `attributes.npz` where the data have attributes, see `zoo.directions`. The test split is
    looked at here and nowhere before.

    Args:
        run: folder that `tfflows.training.train` has finished. Of its weights 16 significant bits
            are kept, before anything is measured.
        name: of the entry.
        summary: the card's first line: what it is, and whether data or budget were less than in
            the paper.
        source: the paper.
        published: published figures to compare with, by what they are; bits/dim for images,
            nats of negative log-likelihood otherwise.
        folder: to write, by default the package's own `zoo/models/NAME`.
        data: instead of loading the recipe's data set.
        licence: of the weights and of the pictures of samples.
        temperature: of `samples.png`; the card says it.

    Raises:
        FileNotFoundError: if the run is not finished.
        FileExistsError: if the entry exists; it is not overwritten.
    """
    from tfflows import plots
    from tfflows.training import Recipe
    from tfflows.training.train import BEST
    from zoo import attributes, pictures, reference

    run = Path(run)
    folder = Path(folder or MODELS / name)
    if folder.exists():
        raise FileExistsError(f"The entry {folder} exists; delete it first to publish it anew.")
    if not (run / "run.json").is_file():
        raise FileNotFoundError(f"The run in {run} is not finished: it has no run.json.")
    recipe = Recipe.from_file(run / "recipe.json")
    data = data or recipe.load_data()
    flow = recipe.build_flow(data, name)
    flow.load_weights(run / BEST)

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as parent:
        entry = Path(parent) / name
        entry.mkdir()
        _write_json(entry / "config.json", {"flow": recipe.flow, "config": flow.get_config()})
        round_weights(flow)
        flow.save_weights(entry / WEIGHTS)
        _compress(entry / WEIGHTS)
        log_probs = reference.held_out_log_probs(flow, data, recipe.conditional)
        tensors = reference.compute(flow)
        tensors |= reference.served(flow, tensors, log_probs)
        np.savez_compressed(entry / "reference.npz", **tensors)
        if plots.can_draw(flow):
            plots.save_samples(flow, entry / "samples.png", temperature=temperature)
        shows_images = len(data.event_shape) == 3 and not flow.is_conditional
        directions = attributes.compute(flow, data) if shows_images else {}
        if directions:
            attributes.save(directions, entry)
        facts = {
            "name": name,
            "summary": summary,
            "source": source,
            "published": published or {},
            "data": {"name": data.name, "description": data.description},
            **({"columns": list(data.column_names)} if data.column_names else {}),
            "temperature": temperature,
            "pictures": pictures.draw(flow, directions, entry) if shows_images else {},
            **_measure(flow, data, recipe.conditional),
            **(_measure_samples(flow, data) if shows_images else {}),
            "subset_nll": reference.subset_nll(flow, data, recipe.conditional),
            "held_out_log_probs": log_probs,
            "training": json.loads((run / "run.json").read_text()),
            "parameters": int(sum(np.prod(w.shape) for w in flow.trainable_weights)),
            "weights": {
                "file": WEIGHTS,
                "sha256": sha256_of(entry / WEIGHTS),
                "bytes": (entry / WEIGHTS).stat().st_size,
                "license": licence,
            },
        }
        _write_json(entry / "metadata.json", facts)
        recipe = recipe.replace(
            expected=f"{figure(facts['likelihood'])} on the test split",
            cost=f"{minutes(facts)} on {facts['training']['hardware']}",
        )
        recipe.to_file(entry / "recipe.json")
        (entry / "card.md").write_text(card_text(facts, recipe, flow), encoding="utf-8")
        shutil.move(entry, folder)
    return folder


def round_weights(flow) -> None:
    """Round float32 weights to 16 significant bits: a file of them compresses to three quarters."""
    for weight in flow.weights:
        values = weight.numpy()
        if values.dtype == np.float32:
            bits = values.reshape(-1).view(np.uint32)
            rounded = (bits + np.uint32(0x80)) & np.uint32(0xFFFFFF00)
            weight.assign(rounded.view(np.float32).reshape(values.shape))


def _compress(path: Path) -> None:
    """Rewrite an HDF5 file with its larger tensors compressed; it is read as before."""
    import h5py

    compressed = path.with_suffix(".compressed")
    with h5py.File(path) as old, h5py.File(compressed, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Dataset) and item.size > 1000:
                new.create_dataset(name, data=item[()], compression="gzip", shuffle=True)
            elif isinstance(item, h5py.Dataset):
                new[name] = item[()]
            else:
                new.require_group(name)
            new[name].attrs.update(item.attrs)

        old.visititems(copy)
        new.attrs.update(old.attrs)
    compressed.replace(path)


def _measure(flow, data, is_conditional: bool) -> dict:
    """Figures on the test split, and of the baselines on the same examples."""
    from tfflows import evaluate
    from tfflows.data import toy

    x, y = data.test
    num_draws = _NUM_LONG_DRAWS if _takes_long(flow) else _NUM_DRAWS
    context = y if is_conditional else None
    ignoring = ", ignoring the class" if is_conditional else ""
    baselines = {}
    if math.prod(data.event_shape) <= _MOST_DIMS_OF_BASELINE:
        name = f"full-covariance Gaussian{ignoring}, fitted to the training split"
        gaussian = evaluate.gaussian_likelihood(data.train.x, x, data.num_bits)
        baselines[name] = dataclasses.asdict(gaussian)
    if data.event_shape == (2,):
        splits = data.train.x, data.validation.x, x
        density = dataclasses.asdict(evaluate.kernel_density_likelihood(*splits))
        baselines["Gaussian kernels at the training points"] = density
    exact_log_prob = getattr(toy, f"{data.name}_log_prob", None)
    if exact_log_prob is not None:
        exact = evaluate.Likelihood.of(-exact_log_prob(x), num_dims=None, num_draws=0)
        baselines["exact density"] = dataclasses.asdict(exact)
    few = slice(0, _NUM_FEW)
    points = x[few] if data.num_bits is None else x[few] + np.float32(0.5)
    few_context = None if context is None else context[few]
    return {
        "split": "test",
        "num_bits": data.num_bits,
        "likelihood": dataclasses.asdict(evaluate.likelihood(flow, x, context, num_draws)),
        "baselines": baselines,
        "round_trip_error": evaluate.round_trip_error(flow, points, few_context),
        "round_trip_examples": len(points),
        "diagnostics": diagnostics.diagnose(flow, points, few_context),
    }


def _takes_long(flow) -> bool:
    from zoo import reference

    is_exact = flow.log_det_estimator is None
    return math.prod(flow.event_shape) > (reference.LARGE if is_exact else _MOST_ESTIMATED_DIMS)


def _measure_samples(flow, data) -> dict:
    """The tighter bound, the quality of samples and what was memorised, on some test images."""
    from tfflows import evaluate
    from tfflows.edit import nearest_neighbours

    x = data.test.x[:_NUM_FEW]
    samples = {
        f"samples at temperature {temperature:g}": evaluate.draw_images(
            flow, len(x), temperature=temperature
        )
        for temperature in _TEMPERATURES
    }
    rows = np.random.default_rng(0).permutation(len(data.train))[: len(x)]
    compared = {**samples, "training images": data.train.x[rows]}
    nearest = {}
    for name, images in {**samples, "test images": x}.items():
        _, distances = nearest_neighbours(images, data.train.x)
        per_value = distances[:, 0] / math.sqrt(math.prod(data.event_shape))
        nearest[name] = {"smallest": per_value.min(), "median": float(np.median(per_value))}
    num_bound = _NUM_LONG_BOUND if _takes_long(flow) else _NUM_BOUND
    found = {}
    # Of estimated log-dets it would be no bound.
    if flow.log_det_estimator is None:
        few, num_samples = x[:num_bound], _NUM_IMPORTANCE_SAMPLES
        bound = evaluate.importance_weighted_bound(flow, few, num_samples=num_samples)
        found["importance_weighted"] = dataclasses.asdict(bound)
        single = evaluate.likelihood(flow, few)
        found["single_draws_of_the_same"] = dataclasses.asdict(single)
    return {
        **found,
        "sliced_wasserstein": {
            name: dataclasses.asdict(evaluate.sliced_wasserstein(x, images[: len(x)]))
            for name, images in compared.items()
        },
        "nearest_training_image": nearest,
        "samples_out_of_range": _samples_out_of_range(flow),
    }


def _samples_out_of_range(flow) -> dict:
    """How many samples leave the pixels' range by half its width or more in some pixel."""
    width, counts = 2.0**flow.num_bits, {}
    for temperature in (1.0, 0.8):
        batches = [flow.sample(100, temperature, seed=seed).numpy() for seed in (10, 11)]
        off_centre = np.abs(np.concatenate(batches) - width / 2)
        is_far = np.max(off_centre.reshape(200, -1), axis=1) > width
        counts[f"temperature {temperature:g}"] = int(is_far.sum())
    return {"num_samples": 200, "counts": counts}


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
