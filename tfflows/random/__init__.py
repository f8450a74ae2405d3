"""Seeds of all noise, and generators whose rows follow from seeds of their own."""

from tfflows.random import counter, stateless
from tfflows.random.seeds import stateless_seed

__all__ = ["counter", "stateless", "stateless_seed"]
