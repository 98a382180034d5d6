"""What lies in Slicer's DICOM database: series in a list, with a check mark each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
from slicer.i18n import tr as _

_IMAGES = ("CT", "MR", "PT")
"""Modalities that are volumes; cone-beam CT is a CT. Reports, plans and segmentations are left out."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series."""

    uid: str
    words: str
    """Who and what, for the person who chooses; it goes nowhere else."""


class DicomSeries:
    """Fills a ``QListWidget``; nothing is checked at first, for a database may hold thousands.

    Args:
        database: gives the ``ctkDICOMDatabase``, or None while Slicer has none.
        widget: the list.
    """

    def __init__(self, database: Callable[[], Any], widget: Any) -> None:
        self._database, self._widget = database, widget

    def refresh(self) -> None:
        """List the series of volumes that are in the database now."""
        checked = set(self.checked())
        self._widget.clear()
        for series in self._series():
            item = qt.QListWidgetItem(series.words)
            item.setData(qt.Qt.UserRole, series.uid)
            item.setCheckState(qt.Qt.Checked if series.uid in checked else qt.Qt.Unchecked)
            self._widget.addItem(item)

    def checked(self) -> list[str]:
        """The chosen series, by their UIDs."""
        items = [self._widget.item(row) for row in range(self._widget.count)]
        return [item.data(qt.Qt.UserRole) for item in items if item.checkState() == qt.Qt.Checked]

    def files(self, uid: str) -> list[str]:
        """Where a series' files are."""
        return list(self._database().filesForSeries(uid))

    def _series(self) -> list[Series]:
        database = self._database()
        if database is None or not database.isOpen:
            return []
        found = []
        for patient in database.patients():
            for study in database.studiesForPatient(patient):
                for uid in database.seriesForStudy(study):
                    if database.fieldForSeries("Modality", uid) in _IMAGES:
                        found.append(Series(uid=uid, words=_words(database, patient, uid)))
        return found


def _words(database: Any, patient: str, uid: str) -> str:
    name = database.displayedNameForPatient(patient) or database.nameForPatient(patient) or _("no name")
    return f"{name}: {database.descriptionForSeries(uid) or _('no description')}"
