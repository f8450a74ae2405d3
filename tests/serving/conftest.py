"""A server of each tiny flow, once a session."""

import functools

import pytest
from served_flows import Served


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Function of a flow's name to it served, once each."""
    started = []

    @functools.cache
    def serve(name):
        started.append(Served(name, tmp_path_factory.mktemp("served")))
        return started[-1]

    yield serve
    for server in started:
        server.stop()
