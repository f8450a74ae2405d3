"""What a request can have wrong with it."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is refused, with a sentence for the client.

    Args:
        message: names what was found and what was expected.
        status: of the HTTP answer, from 400 to 499.
    """

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status
