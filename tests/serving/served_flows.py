"""Tiny flows with random weights, exported and served over HTTP."""

import contextlib
import functools
import json
import threading

import numpy as np
from http_client import Client

import tfflows
from tfflows import export
from tfflows.serving import app
from tfflows.serving.model import ServedModel

FLOWS = {
    "images": lambda: tfflows.NICE((4, 4, 1), num_couplings=2, hidden=(16,), num_bits=3),
    "labels": lambda: tfflows.RealNVP(
        (2, 2, 3), num_couplings=2, hidden=(16,), num_bits=8, num_classes=3
    ),
    "table": lambda: tfflows.RealNVP((3,), num_couplings=2, hidden=(8,)),
    "points": lambda: tfflows.RealNVP((2,), num_couplings=2, hidden=(8,)),
}
COLUMNS = ["height", "width", "age"]
ATTRIBUTES = {"Bright": [0.5] * 16, "Flat_One": [-0.25] * 16}


def inputs_of(flow, n, seed=0):
    """x, and the context of a conditional flow."""
    rng = np.random.default_rng(seed)
    size = (n, *flow.event_shape)
    x = rng.uniform(0, 2**flow.num_bits, size) if flow.num_bits else rng.normal(size=size)
    context = {"context": rng.integers(flow.num_classes, size=n)} if flow.num_classes else {}
    return {"x": x.astype("float32"), **context}


class Served:
    """A flow, its exported model, and a client of the server that has it alone."""

    def __init__(self, name, folder):
        self.flow = FLOWS[name]()
        self.flow.adapt(**inputs_of(self.flow, 100))
        rng = np.random.default_rng(1)
        for weight in self.flow.trainable_variables:
            weight.assign(rng.normal(0, 0.4, weight.shape))
        held_out = self.flow.log_prob(**inputs_of(self.flow, 50, seed=3)).numpy()
        self.log_probs = sorted(map(float, held_out))
        card = {"summary": "Made up.", "held_out_log_probs": self.log_probs, "temperature": 0.7}
        if name == "table":
            card["columns"] = COLUMNS
        texts = {"card.json": json.dumps(card)}
        if name == "images":
            texts["attributes.json"] = json.dumps(ATTRIBUTES)
        self.path = export.save(self.flow, folder / name / "2", texts, held_out)
        self.model = ServedModel(self.path)
        self.client = None


@contextlib.contextmanager
def served_together(models):
    """A client of one server of all these models, by name."""
    with app.listen(0) as listener:
        client = Client(listener.getsockname()[1])
        server = app.server_of(models)
        sockets = {"sockets": [listener]}
        thread = threading.Thread(target=server.run, kwargs=sockets, daemon=True)
        thread.start()
        client.wait()
        yield client
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def each_served_once(tmp_path_factory):
    """A function of a flow's name to it served, the same one at each call."""
    with contextlib.ExitStack() as servers:

        @functools.cache
        def serve(name):
            found = Served(name, tmp_path_factory.mktemp("served"))
            found.client = servers.enter_context(served_together({name: found.model}))
            return found

        yield serve
