"""A few hundred requests spoilt at random; `fuzz.py` sends ten thousand."""

import collections

import pytest
from fuzz import Fuzzer, complaint

from tfflows.export.signatures import Signatures

NUM_REQUESTS = 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images", "labels", "points"])
def test_spoilt_requests_get_right_answers_or_sentences(served, name):
    server = served(name)
    metadata = (server.path / "assets.extra" / "metadata.json").read_text()
    signatures = Signatures(server.flow, server.log_probs, metadata)
    signatures.share_traces()
    fuzzer, ways = Fuzzer(signatures, name, seed=0), collections.Counter()
    for _ in range(NUM_REQUESTS):
        way, request = fuzzer.draw()
        status, content = server.client.request(*request)
        assert complaint(fuzzer, way, request, status, content) is None, (request, status, content)
        ways[way, status // 100] += 1
    assert ways["nothing", 2] > 5 and ways["values", 4] > 20 and ways["bytes", 4] > 10
    assert server.client.get("/v2/health/ready")[0] == 200
