"""The version, which a run on disk carries."""

__version__ = "0.1.0"
