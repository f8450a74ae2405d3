"""Names, registration, and what an entry's files say."""

import json

import pytest
from zoo_copies import copy_of

import zoo
from tfflows.training import Recipe


@pytest.mark.slow
def test_names_are_sorted_and_match_patterns(published, tmp_path):
    built_in = zoo.list()
    for name in ("zz_tiny", "b_tiny", "a_tiny"):
        zoo.register(name, published)
    assert zoo.list() == sorted([*built_in, "a_tiny", "b_tiny", "zz_tiny"])
    assert zoo.list("?_tiny") == ["a_tiny", "b_tiny"]
    assert zoo.list("zz*") == ["zz_tiny"]
    assert zoo.list("tiny") == []
    assert zoo.names() == zoo.list()


@pytest.mark.slow
def test_card_metadata_and_recipe_are_those_of_the_files(published, tiny):
    assert zoo.card(tiny) == (published / "card.md").read_text(encoding="utf-8")
    assert zoo.metadata(tiny) == json.loads((published / "metadata.json").read_text())
    assert zoo.recipe(tiny) == Recipe.from_file(published / "recipe.json")


@pytest.mark.parametrize("ask", [zoo.load, zoo.card, zoo.metadata, zoo.recipe, zoo.verify])
def test_unknown_name_gives_near_matches(tiny, ask):
    with pytest.raises(ValueError, match="no zoo entry 'tinny': did you mean 'tiny'"):
        ask("tinny")


def test_unknown_name_names_no_more_than_three(tiny):
    number = len(zoo.list())
    with pytest.raises(ValueError, match=f"no zoo entry 'xqxqxq': zoo.list.. names all {number}"):
        zoo.load("xqxqxq")
    with pytest.raises(ValueError, match="no zoo entry 'realnvp'") as caught:
        zoo.card("realnvp")
    assert sum(name in str(caught.value) for name in zoo.list()) == 3


def test_name_taken(published, tiny, tmp_path):
    zoo.register(tiny, published)  # the same folder again is fine
    other = copy_of(published, tmp_path, "other")
    with pytest.raises(ValueError, match=f"'tiny' is taken by the entry in {published}"):
        zoo.register(tiny, other)
    assert zoo.card(tiny) == zoo.card("other")  # both are known still


def test_built_in_names_cannot_be_taken(published):
    for name in zoo.list():
        with pytest.raises(ValueError, match="is taken"):
            zoo.register(name, published)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_entry_is_not_registered(tmp_path, kind):
    folder = tmp_path / "entry"
    if kind == "empty":
        folder.mkdir()
    elif kind == "file":
        folder.write_text("")
    with pytest.raises(ValueError, match="is not the folder of a zoo entry: it has no config.json"):
        zoo.register("mine", folder)
    assert "mine" not in zoo.list()


def test_a_relative_folder_stays_the_same(published, monkeypatch, tmp_path):
    monkeypatch.chdir(published.parent)
    zoo.register("relative", published.name)
    monkeypatch.chdir(tmp_path)
    assert zoo.metadata("relative")["name"] == "tiny"
