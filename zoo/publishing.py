"""From a finished training run to the folder of a zoo entry, every figure measured here."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np

from zoo.catalog import MODELS
from zoo.loading import WEIGHTS, sha256_of

_NUM_DRAWS = 10
_NUM_ROUND_TRIPS = 256
# The Gaussian's covariance has as many rows.
_MOST_DIMS_OF_BASELINE = 2048


def publish(
    run,
    name: str,
    summary: str,
    source: str = "",
    published: dict[str, float] | None = None,
    folder=None,
    data=None,
    licence: str = "Apache-2.0",
) -> Path:
    """Measure a trained flow on the test split and write its entry.

    The entry holds `config.json`, `model.weights.h5`, `recipe.json`, `metadata.json`, `card.md`,
    `reference.npz` and `samples.png`. The test split is looked at here and nowhere before.

    Args:
        run: folder that `tfflows.training.train` has finished.
        name: of the entry.
        summary: the card's first line: what it is, and whether data or budget were less than in
            the paper.
        source: the paper.
        published: published figures to compare with, by what they are; bits/dim for images,
            nats of negative log-likelihood otherwise.
        folder: to write, by default the package's own `zoo/models/NAME`.
        data: instead of loading the recipe's data set.
        licence: of the weights and of the pictures of samples.

    Raises:
        FileNotFoundError: if the run is not finished.
        FileExistsError: if the entry exists; it is not overwritten.
    """
    from tfflows import plots
    from tfflows.training import Recipe
    from tfflows.training.train import BEST
    from zoo import reference

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
        flow.save_weights(entry / WEIGHTS)
        _compress(entry / WEIGHTS)
        np.savez_compressed(entry / "reference.npz", **reference.compute(flow))
        if plots.can_draw(flow):
            plots.save_samples(flow, entry / "samples.png")
        facts = {
            "name": name,
            "summary": summary,
            "source": source,
            "published": published or {},
            "data": {"name": data.name, "description": data.description},
            **_measure(flow, data, recipe.conditional),
            "subset_nll": reference.subset_nll(flow, data, recipe.conditional),
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
            expected=f"{_figure(facts['likelihood'])} on the test split",
            cost=f"{_minutes(facts)} on {facts['training']['hardware']}",
        )
        recipe.to_file(entry / "recipe.json")
        (entry / "card.md").write_text(card_text(facts, recipe, flow), encoding="utf-8")
        shutil.move(entry, folder)
    return folder


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
    context = y if is_conditional else None
    ignoring = ", ignoring the class" if is_conditional else ""
    baselines = {}
    if math.prod(data.event_shape) <= _MOST_DIMS_OF_BASELINE:
        name = f"full-covariance Gaussian{ignoring}, fitted to the training split"
        gaussian = evaluate.gaussian_likelihood(data.train.x, x, data.num_bits)
        baselines[name] = dataclasses.asdict(gaussian)
    exact_log_prob = getattr(toy, f"{data.name}_log_prob", None)
    if exact_log_prob is not None:
        exact = evaluate.Likelihood.of(-exact_log_prob(x), num_dims=None, num_draws=0)
        baselines["exact density"] = dataclasses.asdict(exact)
    few = slice(0, _NUM_ROUND_TRIPS)
    points = x[few] if data.num_bits is None else x[few] + np.float32(0.5)
    few_context = None if context is None else context[few]
    return {
        "split": "test",
        "num_bits": data.num_bits,
        "likelihood": dataclasses.asdict(evaluate.likelihood(flow, x, context, _NUM_DRAWS)),
        "baselines": baselines,
        "round_trip_error": evaluate.round_trip_error(flow, points, few_context),
        "round_trip_examples": len(points),
    }


def card_text(facts: dict, recipe, flow) -> str:
    """The card, in Markdown, of what `metadata.json` says."""
    from tfflows import plots

    measured, training = facts["likelihood"], facts["training"]
    rows = {
        "data": facts["data"]["description"],
        "measured on": f"test split, {measured['num_examples']:,} examples, used for nothing else",
        "negative log-likelihood": _figure(measured),
        **{
            name: f"{_figure(value)}; {_gap(measured, value[_unit(measured)[0]])}"
            for name, value in facts["baselines"].items()
        },
        **{
            name: f"{value} {_unit(measured)[1]}; {_gap(measured, value)}"
            for name, value in facts["published"].items()
        },
        "estimator": _estimator(facts),
        "parameters": f"{facts['parameters']:,}",
        "training": f"{training['epochs']} epochs, best on validation: epoch "
        f"{training['best_epoch']}; {_minutes(facts)} on {training['hardware']}",
        "round trip": "largest absolute error of decode(encode(x)), "
        f"{facts['round_trip_examples']} test examples: {facts['round_trip_error']:.1e} (in units "
        "of x)",
        "weights": f"{facts['weights']['bytes'] / 1e6:.2f} MB, {facts['weights']['license']}, "
        f"SHA-256 {facts['weights']['sha256']}",
    }
    if facts["source"]:
        rows["paper"] = facts["source"]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    context, contexts = _contexts(flow)
    picture = "\n![samples](samples.png)\n" if plots.can_draw(flow) else ""
    return f"""# {facts["name"]}

{facts["summary"]}
{picture}
| | |
| --- | --- |
{table}

## Use

```python
import zoo

flow = zoo.load("{facts["name"]}")
x = flow.sample(16, seed=0{context})
log_prob = flow.log_prob(x{contexts})  # nats
```

## Recipe

`tfflows train {facts["name"]}` trains it anew: `{recipe.flow}` with
`{json.dumps(recipe.config)}`. {_training(recipe)}
"""


def _contexts(flow) -> tuple[str, str]:
    """What the card's example says of the context: one for all samples, and one for each x."""
    if flow.num_classes is not None:
        label = min(3, flow.num_classes - 1)
        return f", context={label}", f", [{label}] * 16"
    if flow.context_dim is not None:
        return f", context=[0.0] * {flow.context_dim}", f", [[0.0] * {flow.context_dim}] * 16"
    return "", ""


def _training(recipe) -> str:
    """How the recipe trains, in a few sentences."""
    warmup = f" after {recipe.warmup_steps:,} steps of warm-up" if recipe.warmup_steps else ""
    decay = "" if recipe.decay_epochs is None else f" over the last {recipe.decay_epochs} epochs"
    flips = " Half of the training images are mirrored." if recipe.flip else ""
    average = ""
    if recipe.ema_momentum is not None:
        average = f"the moving average ({recipe.ema_momentum}) at the end of "
    return (
        f"AdamW with learning rate {recipe.learning_rate:g}{warmup}, along a cosine to 0{decay}, "
        f"weight decay {recipe.weight_decay:g}, batch {recipe.batch_size}, {recipe.epochs} epochs, "
        f"seed {recipe.seed}.{flips} The weights are those of {average}the epoch with the lowest "
        "validation loss."
    )


def _unit(likelihood: dict) -> tuple[str, str]:
    """Key and name of the unit in which a likelihood is compared."""
    is_image = likelihood["bits_per_dim"] is not None
    return ("bits_per_dim", "bits/dim") if is_image else ("nll", "nats")


def _gap(likelihood: dict, other: float) -> str:
    key, unit = _unit(likelihood)
    gap = likelihood[key] - other
    return f"this flow is {abs(gap):.3f} {unit} {'worse' if gap > 0 else 'better'}"


def _minutes(facts: dict) -> str:
    return f"{facts['training']['seconds'] / 60:.1f} minutes"


def _figure(likelihood: dict) -> str:
    text = f"{likelihood['nll']:.4f} ± {likelihood['standard_error']:.4f} nats"
    if likelihood["bits_per_dim"] is not None:
        text += (
            f"; {likelihood['bits_per_dim']:.4f} ± "
            f"{likelihood['bits_per_dim_standard_error']:.4f} bits/dim"
        )
    return text


def _estimator(facts: dict) -> str:
    if facts["num_bits"] is None:
        return "exact log-density; mean and standard error over the examples"
    draws = facts["likelihood"]["num_draws"]
    return (
        f"uniform dequantisation of {facts['num_bits']}-bit pixels, {draws} draws per image, an "
        "upper bound of the discrete negative log-likelihood; mean and standard error over the "
        "images. The Gaussian is fitted to dequantised images too, and measured with one draw"
    )


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
