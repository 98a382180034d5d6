"""Training: start reading with ``loop.py``."""
