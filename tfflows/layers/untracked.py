"""What a layer keeps and does not own."""


class Untracked:
    """Keeps a view out of Keras's attribute tracking: it owns no weights."""

    def __init__(self, value):
        self.value = value
