"""wispy puts a live Python object in every browser."""

__version__ = "0.1.0"
