"""The cohort folder: cases, label table, annotation versions, rounds. Standard library only."""

from barl.cohort.cohort import Cohort
from barl.cohort.labels import UNKNOWN, Label, LabelTable, default_color
from barl.cohort.layout import prediction_path
from barl.cohort.lock import folder_lock
from barl.cohort.schema import (
    AnnotationVersion,
    Case,
    CaseState,
    CohortRecord,
    Coverage,
    CoverageKind,
    Modality,
    Role,
)
from barl.cohort.split import propose_validation

__all__ = [
    "UNKNOWN",
    "AnnotationVersion",
    "Case",
    "CaseState",
    "Cohort",
    "CohortRecord",
    "Coverage",
    "CoverageKind",
    "Label",
    "LabelTable",
    "Modality",
    "Role",
    "default_color",
    "folder_lock",
    "prediction_path",
    "propose_validation",
]
