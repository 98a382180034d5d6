"""The command ``barl``: one file a group of commands; torch is imported only by those that need it."""

from barl.cli.app import main

__all__ = ["main"]
