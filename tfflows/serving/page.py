"""What the web page asks for besides the model's signatures."""

from __future__ import annotations

from tfflows.serving.csv_files import table_of
from tfflows.serving.errors import RequestError
from tfflows.serving.image_files import pixels_of
from tfflows.serving.model import ServedModel


def facts(model: ServedModel) -> dict:
    """What the page needs to know of the model.

    `kind` is what its events can be drawn as: `"image"`, `"point"`, `"table"` (a row of numbers)
    or `None`. `columns` are names of a row's numbers, if the export's card.json has them.
    """
    event_shape = model.signatures["log_prob"].inputs["x"].shape[1:].as_list()
    config = model.facts["config"]
    is_image = len(event_shape) == 3 and event_shape[-1] in (1, 3)
    is_row = len(event_shape) == 1
    kind = "image" if is_image else "point" if event_shape == [2] else "table" if is_row else None
    return {
        "name": model.name,
        "summary": model.card.get("summary", ""),
        "kind": None if config["context_dim"] else kind,
        "event_shape": event_shape,
        "columns": model.card.get("columns"),
        "num_bits": config["num_bits"] or 8,
        "num_classes": config["num_classes"],
        "temperature": model.card.get("temperature", 1.0),
        "held_out_log_probs": model.card.get("held_out_log_probs"),
        "attributes": list(model.attributes),
    }


def attributes(model: ServedModel) -> dict:
    """Directions in latent space by attribute, each flattened."""
    return model.attributes


def image(model: ServedModel, content: bytes) -> dict:
    """An uploaded file as the pixels of an image that the model takes, flattened.

    Raises:
        RequestError: for a file that cannot be read, or a model of something else.
    """
    about = facts(model)
    if about["kind"] != "image":
        raise RequestError(f"{model.name} takes no images: its x has shape {about['event_shape']}.")
    pixels = pixels_of(content, about["event_shape"], about["num_bits"])
    return {"pixels": pixels.reshape(-1).tolist()}


def table(model: ServedModel, content: bytes) -> dict:
    """An uploaded CSV file as rows that the model takes, and the names of their columns, if any.

    Raises:
        RequestError: for a file that cannot be read, or a model of something else.
    """
    about = facts(model)
    if about["kind"] != "table":
        raise RequestError(f"{model.name} takes no tables: its x has shape {about['event_shape']}.")
    columns, rows = table_of(content, about["event_shape"][0], about["columns"])
    return {"columns": columns, "rows": rows}
