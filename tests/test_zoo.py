"""The zoo is found under tfflows, too."""

import importlib

import tfflows
import zoo


def test_both_names_are_one_package():
    assert importlib.import_module("tfflows.zoo") is zoo
    assert tfflows.zoo is zoo
    assert "zoo" in dir(tfflows)
