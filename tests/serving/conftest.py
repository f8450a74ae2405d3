"""A server of each tiny flow, once a session."""

import pytest
from served_flows import each_served_once


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Function of a flow's name to it served, once each."""
    with each_served_once(tmp_path_factory) as serve:
        yield serve
