"""A registry of pretrained flows: load, look at, check and export them by name."""

from zoo.attributes import directions
from zoo.catalog import card, metadata, names, recipe, register
from zoo.catalog import names as list
from zoo.loading import load
from zoo.publishing import publish
from zoo.serving import export
from zoo.verification import verify

__all__ = [
    "card",
    "directions",
    "export",
    "list",
    "load",
    "metadata",
    "names",
    "publish",
    "recipe",
    "register",
    "verify",
]
