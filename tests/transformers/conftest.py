"""All properties of a transformer are tested one after the other, so that its graphs are shared."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    places = [
        i for i, item in enumerate(items) if item.path.name == "test_transformer_properties.py"
    ]
    in_turn = sorted((items[i] for i in places), key=lambda item: item.callspec.params["name"])
    for i, item in zip(places, in_turn, strict=True):
        items[i] = item
