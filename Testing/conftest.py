"""For all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes tells how busy the computer is.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")
