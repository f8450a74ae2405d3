"""The page's files and facts; what it does in a browser: browser_tests."""

import json
import re
import shutil

import pytest
from served_flows import ATTRIBUTES

from tfflows.serving import page
from tfflows.serving.model import ServedModel


def test_every_file_that_the_page_names_is_served(served):
    client = served("images").client
    status, content = client.request("GET", "/")
    assert status == 200 and content.startswith(b"<!doctype html>")
    assert client.request("GET", "/docs") == client.request("GET", "/docs.html")
    wanted, seen = {"index.html", "docs.html"}, set()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        status, content = client.request("GET", f"/{name}")
        assert status == 200
        text = content.decode()
        assert "://" not in text  # nothing from elsewhere
        wanted |= set(re.findall(r'(?:src|href)="([a-z.]+\.(?:js|css))"', text))
        wanted |= set(re.findall(r'from "\./([a-z.]+)"', text))
    assert seen > {"index.html", "style.css", "main.js", "api.js", "points.js"}


def test_facts(served):
    client = served("images").client
    facts = client.get("/page/models/images/facts")[1]
    assert (facts["name"], facts["summary"], facts["temperature"]) == ("images", "Made up.", 0.7)
    assert (facts["kind"], facts["event_shape"], facts["num_bits"]) == ("image", [4, 4, 1], 3)
    assert facts["attributes"] == list(ATTRIBUTES)
    assert client.get("/page/models/images/attributes")[1] == ATTRIBUTES
    labels, points = (served(name).client for name in ("labels", "points"))
    assert labels.get("/page/models/labels/facts")[1]["num_classes"] == 3
    assert points.get("/page/models/points/facts")[1]["kind"] == "point"
    assert points.get("/page/models/points/attributes")[1] == {}


@pytest.mark.parametrize("has_card", [True, False])
def test_a_model_of_neither_images_nor_points(served, tmp_path, has_card):
    """Facts of an export that has been cut to its bare minimum."""
    model = served("points").model
    assert page.facts(model)["held_out_log_probs"] == served("points").log_probs
    bare = object.__new__(ServedModel)
    vars(bare).update(vars(model))
    bare.card = model.card if has_card else {}
    bare.facts = json.loads(json.dumps(model.facts))
    bare.facts["config"]["context_dim"] = 2
    facts = page.facts(bare)
    assert facts["kind"] is None
    assert facts["temperature"] == (0.7 if has_card else 1.0)
    assert (facts["held_out_log_probs"] is None) is not has_card


def test_what_is_no_exported_flow(tmp_path):
    with pytest.raises(ValueError, match="is not the folder of an exported flow"):
        ServedModel(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="metadata.json"):
        ServedModel(tmp_path)


def test_name_and_version_are_those_of_the_folders(served, tmp_path):
    model = served("points").model
    assert (model.name, model.version) == ("points", "2")
    named = ServedModel(shutil.copytree(served("points").path, tmp_path / "mine"))
    assert (named.name, named.version) == ("mine", "1")
