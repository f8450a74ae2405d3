"""The card of a zoo entry: what `metadata.json` says, for people."""

from __future__ import annotations

import json
from pathlib import Path

from zoo import diagnostics


def card_text(facts: dict, recipe, flow) -> str:
    """The card, in Markdown, of what `metadata.json` says."""
    from tfflows import plots

    measured, training = facts["likelihood"], facts["training"]
    rows = {
        "data": facts["data"]["description"],
        "measured on": f"test split, {measured['num_examples']:,} examples, used for nothing else",
        "negative log-likelihood": figure(measured),
        **{
            name: f"{figure(value)}; {_gap(measured, value[_unit(measured)[0]])}"
            for name, value in facts["baselines"].items()
        },
        **{
            name: f"{value} {_unit(measured)[1]}; {_gap(measured, value)}"
            for name, value in facts["published"].items()
        },
        "estimator": _estimator(facts),
        **diagnostics.rows(facts.get("diagnostics", {})),
        **_of_samples(facts),
        "parameters": f"{facts['parameters']:,}",
        "training": f"{_epochs(training['epochs'])}, best on validation: epoch "
        f"{training['best_epoch']}; {minutes(facts)} on {training['hardware']}",
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
    pictures = "".join(
        f"\n{caption}\n\n![{Path(name).stem}]({name})\n"
        for name, caption in facts["pictures"].items()
    )
    picture = "\n![samples](samples.png)\n" if plots.can_draw(flow) else ""
    if picture and facts["temperature"] != 1:
        picture += f"\nSamples at temperature {facts['temperature']:g}.\n"
    return f"""# {facts["name"]}

{facts["summary"]}
{picture}
| | |
| --- | --- |
{table}
{pictures}
## Use

```python
import zoo

flow = zoo.load("{facts["name"]}")
x = flow.sample(16, seed=0{context})
log_prob = flow.log_prob(x{contexts})  # nats
```

## Recipe

`tfflows train {facts["name"]}` trains it anew: `{recipe.flow}` with
`{json.dumps(recipe.config)}`. {_training(recipe, training["epochs"])}
"""


def _of_samples(facts: dict) -> dict[str, str]:
    """Rows of the table on what only image entries measure."""
    if "sliced_wasserstein" not in facts:
        return {}
    bound = facts.get("importance_weighted")
    distances = "; ".join(
        f"{name} {found['mean']:.3f}" for name, found in facts["sliced_wasserstein"].items()
    )
    num_images = next(iter(facts["sliced_wasserstein"].values()))["num_images"]
    nearest = "; ".join(
        f"{name} {found['median']:.1f} (smallest {found['smallest']:.1f})"
        for name, found in facts["nearest_training_image"].items()
    )
    far = facts["samples_out_of_range"]
    counts = ", ".join(f"{count} at {name}" for name, count in far["counts"].items())
    bounds = {}
    if bound is not None:
        bounds[f"importance-weighted bound, {bound['num_draws']} draws"] = (
            f"{figure(bound)}, on {bound['num_examples']} of the test images, for which a single "
            f"draw says {facts['single_draws_of_the_same']['bits_per_dim']:.4f}"
        )
    return {
        **bounds,
        "sliced Wasserstein distance of patches": f"to {num_images} test images, of as many "
        f"{distances}",
        "samples out of range": f"of {far['num_samples']}, by half the pixels' range or more: "
        f"{counts}",
        "nearest training image": "median root-mean-square distance over pixels and channels, in "
        f"grey levels: {nearest}. Distances far below those of test images would be copies",
    }


def _contexts(flow) -> tuple[str, str]:
    """What the card's example says of the context: one for all samples, and one for each x."""
    if flow.num_classes is not None:
        label = min(3, flow.num_classes - 1)
        return f", context={label}", f", [{label}] * 16"
    if flow.context_dim is not None:
        return f", context=[0.0] * {flow.context_dim}", f", [[0.0] * {flow.context_dim}] * 16"
    return "", ""


def _training(recipe, epochs: int) -> str:
    """How the recipe trains, in a few sentences, and that it ended early if it did."""
    warmup = f" after {recipe.warmup_steps:,} steps of warm-up" if recipe.warmup_steps else ""
    decay = "" if recipe.decay_epochs is None else f" over the last {recipe.decay_epochs} epochs"
    flips = " Half of the training images are mirrored." if recipe.flip else ""
    pretraining = ""
    if recipe.pretraining is not None:
        first = recipe.first_recipe()
        named = first.loss if isinstance(first.loss, str) else json.dumps(first.loss)
        loss = "" if first.loss is None else f" with the loss {named}"
        pretraining = (
            f"Pretraining{loss}: {_epochs(first.epochs, first.passes_per_epoch)}, batch "
            f"{first.batch_size}, learning rate {first.learning_rate:g}. Then "
        )
    ended = ""
    if epochs < recipe.epochs:
        ended = (
            f", of which it took {epochs}: it ends after {_epochs(recipe.patience)} without a "
            "lower validation loss"
        )
    average = ""
    if recipe.ema_momentum is not None:
        average = f"the moving average ({recipe.ema_momentum}) at the end of "
    return (
        f"{pretraining}AdamW with learning rate {recipe.learning_rate:g}{warmup}, along a cosine "
        f"to 0{decay}, weight decay {recipe.weight_decay:g}, batch {recipe.batch_size}, "
        f"{_epochs(recipe.epochs, recipe.passes_per_epoch)}{ended}, seed {recipe.seed}.{flips} The "
        f"weights are those of {average}the epoch with the lowest validation loss."
    )


def _epochs(number: int, passes: int = 1) -> str:
    of_passes = "" if passes == 1 else f" of {passes} passes each"
    return f"{number} epoch{'s' if number > 1 else ''}{of_passes}"


def _unit(likelihood: dict) -> tuple[str, str]:
    """Key and name of the unit in which a likelihood is compared."""
    is_image = likelihood["bits_per_dim"] is not None
    return ("bits_per_dim", "bits/dim") if is_image else ("nll", "nats")


def _gap(likelihood: dict, other: float) -> str:
    key, unit = _unit(likelihood)
    gap = likelihood[key] - other
    return f"this flow is {abs(gap):.3f} {unit} {'worse' if gap > 0 else 'better'}"


def minutes(facts: dict) -> str:
    """Wall time of the training."""
    return f"{facts['training']['seconds'] / 60:.1f} minutes"


def figure(likelihood: dict) -> str:
    """Nats, and for images bits/dim, with their standard errors."""
    text = f"{likelihood['nll']:.4f} ± {likelihood['standard_error']:.4f} nats"
    if likelihood["bits_per_dim"] is not None:
        text += (
            f"; {likelihood['bits_per_dim']:.4f} ± "
            f"{likelihood['bits_per_dim_standard_error']:.4f} bits/dim"
        )
    return text


def _estimator(facts: dict) -> str:
    by = facts["likelihood"]["estimator"].partition("log-det by ")[2]
    bias = "biased" if by.startswith("truncated") else "without bias"
    log_det = f"; log-det by {by}, {bias}" if by else ""
    if facts["num_bits"] is None:
        density = "log-density" if by else "exact log-density"
        return f"{density}{log_det}; mean and standard error over the examples"
    draws = facts["likelihood"]["num_draws"]
    gaussian = ""
    if facts["baselines"]:
        gaussian = ". The Gaussian is fitted to dequantised images too, and measured with one draw"
    return (
        f"uniform dequantisation of {facts['num_bits']}-bit pixels, {draws} draws per image, an "
        f"upper bound of the discrete negative log-likelihood{log_det}; mean and standard error "
        f"over the images{gaussian}"
    )
