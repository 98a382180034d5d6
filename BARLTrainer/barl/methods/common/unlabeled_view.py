"""Which view of unlabeled patches a method learns on that has one view where others have two."""

from __future__ import annotations

from typing import Literal

from barl.errors import SettingsError

UnlabeledView = Literal["weak", "strong"]
UNLABELED_VIEWS: tuple[UnlabeledView, ...] = ("weak", "strong")


def check_unlabeled_view(value: str) -> None:
    """Refuse what is no view.

    Raises:
        SettingsError: the value is none of ``UNLABELED_VIEWS``.
    """
    if value not in UNLABELED_VIEWS:
        raise SettingsError(f"unlabeled_view must be one of {UNLABELED_VIEWS}, got {value!r}")
