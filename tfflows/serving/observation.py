"""What is known of requests: metrics in Prometheus's form, and a line of log for each."""

from __future__ import annotations

import contextlib
import logging
import time

import numpy as np

from tfflows.serving.errors import RequestError
from tfflows.serving.model import ServedModel, Signature

LOG = logging.getLogger("tfflows.serving")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds


def log_to_stderr() -> None:
    """Write the lines of log to standard error, each with its time."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False  # TensorFlow's logging would write the lines again


class Call:
    """One request to a model, which remembers what it asked for.

    Attributes:
        model: the model, once it is found.
        signature_name: the signature, once it is found.
        num_rows: of its inputs, once they are arrays.
    """

    model: ServedModel | None = None
    signature_name = ""
    num_rows = 0

    def signature(self, name: str) -> Signature:
        """Choose a signature of the model by name.

        Raises:
            RequestError: for an unknown one.
        """
        signature = self.model.signature(name)
        self.signature_name = name
        return signature

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of the chosen signature.

        Raises:
            RequestError: as `ServedModel.run`.
        """
        self.num_rows = max((len(value) for value in inputs.values() if value.ndim), default=0)
        return self.model.run(self.signature_name, inputs)


class Observer:
    """Counts requests and times them, by model and signature.

    Only names that the server knows become labels, so that no client can make up many.

    Example:
        >>> from tfflows.serving.observation import Observer
        >>> observer = Observer()
        >>> with observer.call() as call:
        ...     call.signature_name = "sample"
        >>> [line for line in observer.text().splitlines() if "requests_total{" in line]
        ['tfflows_requests_total{model="",signature="sample",status="200"} 1.0']
    """

    def __init__(self):
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._registry = CollectorRegistry()
        labels = "model", "signature"
        self._requests = Counter(
            "tfflows_requests",
            "Requests to the models' signatures, by the status of the answer.",
            (*labels, "status"),
            registry=self._registry,
        )
        self._rows = Counter(
            "tfflows_rows", "Rows of the requests answered.", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "tfflows_request_duration_seconds",
            "Time from a request's head to its answer, waiting for others included.",
            labels,
            buckets=_BUCKETS,
            registry=self._registry,
        )

    @contextlib.contextmanager
    def call(self):
        """A `Call`, which is counted and logged when the context is left."""
        call, status, start = Call(), 500, time.perf_counter()
        try:
            yield call
            status = 200
        except RequestError as error:
            status = error.status
            raise
        finally:
            self._record(call, status, time.perf_counter() - start)

    def text(self) -> str:
        """All metrics in Prometheus's text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry).decode()

    def _record(self, call, status, seconds):
        labels = call.model.name if call.model else "", call.signature_name
        self._requests.labels(*labels, status).inc()
        self._seconds.labels(*labels).observe(seconds)
        if status == 200:
            self._rows.labels(*labels).inc(call.num_rows)
        names = [label or "-" for label in labels]
        LOG.info(
            "model=%s signature=%s batch=%d status=%d ms=%.1f",
            *names,
            call.num_rows,
            status,
            1000 * seconds,
        )
