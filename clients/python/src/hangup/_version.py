"""`npm run generate:python` writes this file."""

__version__ = "0.2.0"
