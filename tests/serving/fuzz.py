"""Valid requests spoilt at random, and what a server makes of them.

    python tests/serving/fuzz.py [--requests 10000]

starts `tfflows serve` for two entries, sends them fuzzed requests, and writes the table
benchmarks/serve_fuzz.md: which statuses came back, and the server's memory before and after. The
test suite sends a few hundred requests of the same making.
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from http_client import Client
from requests_of import (
    columns_request,
    expected,
    inputs_in,
    inputs_of_signature,
    outputs_of,
    rows_request,
    v2_request,
)

ENTRIES = ("realnvp_digits_conditional", "realnvp_moons")
TABLE = Path(__file__).parents[2] / "benchmarks" / "serve_fuzz.md"
# In place of any value of a request.
VALUES = [None, True, False, "", "text", "1.5", "\ud800", [], {}, [[]], [None], {"x": 1}]
VALUES += [0, -1, 0.5, 1e39, -1e300, 2**31, 2**63, -(2**63) - 1, 10**400, 1e-320]
VALUES += [float("nan"), float("inf"), float("-inf")]
PIECES = [b"NaN", b"[", b"]", b"{", b"}", b",", b'"', b"\\u0000", b"\xff", b"1e999", b"-", b"\0"]


class Fuzzer:
    """Requests to one model.

    Args:
        signatures: the flow's own, `tfflows.export.signatures.Signatures`.
        name: of the model on the server.
        seed: of everything that is drawn.
    """

    def __init__(self, signatures, name: str, seed: int):
        self.signatures, self.name = signatures, name
        self.upload_path = f"/page/models/{name}/image"
        self.rng = np.random.default_rng(seed)
        # How often what was spoilt.
        self.ways = {
            "nothing": (self.valid, 1),
            "values": (self.spoilt_values, 4),
            "bytes": (self.spoilt_bytes, 3),
            "address": (self.spoilt_address, 1),
            "upload": (self.upload, 1),
            "size": (self.large, 0.1),
        }

    def draw(self):
        """A way of spoiling, and a request `(method, path, body)` spoilt in that way."""
        weights = np.array([weight for _, weight in self.ways.values()])
        way = self.rng.choice(list(self.ways), p=weights / weights.sum())
        return way, self.ways[way][0]()

    def valid(self):
        name = self.rng.choice(list(self.signatures.signatures))
        n = int(self.rng.integers(1, 4))
        inputs = inputs_of_signature(self.signatures, name, n, self.rng)
        form = self.rng.choice([rows_request, columns_request, v2_request])
        rest, v2 = f"/v1/models/{self.name}:predict", f"/v2/models/{self.name}/infer"
        body = json.dumps(form(name, inputs)).encode()
        return "POST", v2 if form is v2_request else rest, body

    def spoilt_values(self):
        method, path, body = self.valid()
        request = json.loads(body)
        for _ in range(self.rng.integers(1, 3)):
            self._spoil(request)
        return method, path, json.dumps(request).encode()

    def _spoil(self, request):
        """Change one place, at any depth."""
        parent = request
        while True:
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            if not keys:
                return
            key = keys[self.rng.integers(len(keys))]
            is_leaf = not isinstance(parent[key], (dict, list)) or not parent[key]
            if is_leaf or self.rng.random() < 0.25:
                break
            parent = parent[key]
        change = self.rng.integers(5)
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, dict):
            parent[f"{key}s"] = parent.pop(key)
        elif change == 2 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif change == 3:
            parent[key] = [parent[key]]
        else:
            parent[key] = VALUES[self.rng.integers(len(VALUES))]

    def spoilt_bytes(self):
        method, path, body = self.valid()
        body = bytearray(body)
        for _ in range(self.rng.integers(1, 4)):
            place = int(self.rng.integers(len(body) + 1))
            change = self.rng.integers(5)
            if change == 0:
                body[place : place + 1] = self.rng.bytes(1)
            elif change == 1:
                body[place : place + int(self.rng.integers(20))] = b""
            elif change == 2:
                body[place:place] = PIECES[self.rng.integers(len(PIECES))]
            elif change == 3:
                body[place:place] = body[: int(self.rng.integers(20))]
            elif self.rng.random() < 0.3:
                del body[place:]
        return method, path, bytes(body)

    def spoilt_address(self):
        method, path, body = self.valid()
        if self.rng.random() < 0.4:
            return self.rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]), path, body
        place = int(self.rng.integers(1, len(path)))
        piece = self.rng.choice(["x", "/", "%00", "%2e%2e/", "?a=b", "//", ":", "/versions/9"])
        return method, path[:place] + piece + path[place + int(self.rng.integers(2)) :], body

    def upload(self):
        kind = self.rng.choice([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0", b"BM"])
        return "POST", self.upload_path, kind + self.rng.bytes(int(self.rng.integers(300)))

    def large(self):
        row = [0.5] * int(self.rng.integers(1, 4))
        body = {"inputs": [row] * int(self.rng.integers(10_000, 100_000))}
        return "POST", f"/v1/models/{self.name}:predict", json.dumps(body).encode()


def complaint(fuzzer: Fuzzer, way: str, request, status: int, content: bytes) -> str | None:
    """What is wrong with an answer, if anything.

    A status below 400 needs the numbers that the live flow computes from the request, and any
    other one from 400 to 499 and a sentence.
    """
    method, path, body = request
    if way == "nothing" and status != 200:
        return "A valid request was refused."
    if status == 200 and (method, path) == ("POST", fuzzer.upload_path):
        return None  # a picture by chance
    if status == 200 and method == "POST":
        name, inputs = inputs_in(path, body)
        signatures = fuzzer.signatures
        name = "log_prob" if name == "serving_default" else name
        takes = signatures.signatures[name][0]
        inputs = {takes[0]: inputs[""]} if "" in inputs else inputs
        try:
            truth = expected(signatures, name, inputs)
        except Exception as error:  # whatever the flow refuses the server should too
            return f"Answered what the flow refuses: {error}"
        found = outputs_of(json.loads(content), signatures.signatures[name][1])
        for key, value in found.items():
            if truth[key].dtype == object:
                continue
            scale = max(1, np.abs(truth[key]).max())
            if value.shape != truth[key].shape or np.abs(value - truth[key]).max() > 1e-4 * scale:
                return f"A wrong {key}."
        return None
    if status == 200 and method in ("GET", "HEAD", "OPTIONS"):
        return None
    if not 300 <= status < 500:
        return "Neither an answer nor a refusal."
    if status >= 400 and not json.loads(content)["error"].endswith("."):
        return "A refusal without a sentence."
    return None


def memory_of(pid: int) -> float:
    """MiB of memory that a process has."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) / 1024


def _fuzz_entry(name, num_requests, seed):
    """Statuses by way, and the server's memory after a tenth, a half and all of the requests."""
    import zoo
    from tfflows.export.signatures import Signatures

    command = [sys.executable, "-m", "tfflows.cli", "serve", name, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stdout if "http://" in line)
        client = Client(int(re.search(r":(\d+)/", line).group(1)))
        client.wait()
        metadata = json.loads(client.request("GET", f"/v2/models/{name}")[1])
        assert metadata["name"] == name
        signatures = Signatures(zoo.load(name), zoo.metadata(name)["held_out_log_probs"])
        signatures.share_traces()
        fuzzer = Fuzzer(signatures, name, seed)
        statuses, memory = collections.Counter(), {}
        marks = {num_requests // 10: "a tenth", num_requests // 2: "half", num_requests: "all"}
        for i in range(num_requests):
            way, request = fuzzer.draw()
            status, content = client.request(*request)
            statuses[way, status] += 1
            wrong = complaint(fuzzer, way, request, status, content)
            if wrong:
                raise SystemExit(f"{wrong} {status} for {request}: {content[:500]}")
            if i + 1 in marks:
                memory[marks[i + 1]] = memory_of(server.pid)
                print(f"{name}: {i + 1} requests, {memory[marks[i + 1]]:.0f} MiB", flush=True)
        return statuses, memory
    finally:
        server.send_signal(signal.SIGINT)
        if server.wait(60) != 0:
            raise SystemExit(f"The server ended with status {server.returncode}.")


def main():
    """Fuzz the servers of `ENTRIES` and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    num_requests = parser.parse_args().requests
    results = {
        name: _fuzz_entry(name, num_requests // len(ENTRIES), seed)
        for seed, name in enumerate(ENTRIES)
    }
    columns = sorted({status for statuses, _ in results.values() for _, status in statuses})
    lines = [
        "# Fuzzed requests to `tfflows serve`",
        "",
        f"`python tests/serving/fuzz.py --requests {num_requests}`",
        "",
        "Every answer of status 200 was compared with the live flow's own numbers (to 1e-4), every",
        "other one has a sentence, no request made the server fail, and it ended with status 0",
        "when interrupted. A spoilt request may be a good one still, with another value.",
        "",
        f"| spoilt | {' | '.join(map(str, columns))} |",
        f"| --- |{' --- |' * len(columns)}",
    ]
    total = sum((statuses for statuses, _ in results.values()), collections.Counter())
    for way in dict.fromkeys(way for way, _ in sorted(total)):
        lines.append(f"| {way} | {' | '.join(str(total[way, status]) for status in columns)} |")
    lines += [
        "",
        "| server's memory, MiB, after | a tenth of the requests | half | all |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {' | '.join(f'{value:.0f}' for value in memory.values())} |"
            for name, (_, memory) in results.items()
        ),
        "",
    ]
    TABLE.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
