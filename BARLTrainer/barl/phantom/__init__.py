"""Synthetic patients for the demo, the tests and the ablations: a CBCT of the jaw, an MR of a head with lesions."""

from barl.phantom.cbct import LABELS, make_case
from barl.phantom.cohort import Phantom, make_cohort
from barl.phantom.lesions import LESION_LABELS, make_lesion_case

__all__ = ["LABELS", "LESION_LABELS", "Phantom", "make_case", "make_cohort", "make_lesion_case"]
