"""Panels: one a file, each with its .ui file, its state and its connections."""
