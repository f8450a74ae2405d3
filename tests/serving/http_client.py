"""Requests to a server on this machine, with the standard library alone."""

import http.client
import json
import time


class Client:
    """Sends requests to a port, each over a connection of its own."""

    def __init__(self, port: int):
        self.port = port

    def wait(self, seconds: float = 60):
        """Until the server answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.request("GET", "/v2/health/ready")
            except ConnectionRefusedError:
                assert time.monotonic() < end, "The server does not answer."
                time.sleep(0.05)

    def request(self, method, path, body=None, headers=()):
        """Status and content of the answer, as bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path):
        """Status and the JSON of the answer."""
        status, content = self.request("GET", path)
        return status, json.loads(content)

    def post(self, path, value):
        """The same, of a value that is sent as JSON, or of bytes."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, content = self.request("POST", path, body)
        return status, json.loads(content)
