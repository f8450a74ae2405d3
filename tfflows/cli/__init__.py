"""The command line `tfflows`. Nothing imports it, and it imports TensorFlow only when it must."""

from tfflows.cli.main import main

__all__ = ["main"]
