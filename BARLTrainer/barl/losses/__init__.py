"""Losses: pure functions, one idea a file, each with its formula and source."""
