"""Exports of flows: SavedModels with signatures, and other formats."""

from tfflows.export.saved_model import save, version_path

__all__ = ["save", "version_path"]
