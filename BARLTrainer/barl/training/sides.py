"""Whether the names of labels tell left from right, so that a mirrored patch would be a lie.

Told too often, a training loses its mirrored patches, a part of its augmentation; missed, it learns that left is right.
So what may be a side counts as one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LATIN_SIDES = """
left right l r lt rt lft rgt lh rh lhs rhs sin dex dext sinister sinistra sinistrum dexter dextra dextrum
links linke linker linkes rechts rechte rechter rechtes li re gauche droit droite izquierdo izquierda izq derecho
derecha der sinistro destro destra sx dx esquerdo esquerda esq direito direita dir lewy lewa lewe prawy prawa prawe
vasen oikea
"""
_QUADRANTS = "ul ur ll lr lul lll rul rml rll"
"""Of the jaws (Palmer) and the lobes of the lungs."""

_SIDES = frozenset((_LATIN_SIDES + _QUADRANTS).split())
_OTHER_SCRIPTS = re.compile("[左右]|лев|прав", re.IGNORECASE)

_BORDERS = re.compile(
    r"[\W_]+"
    r"|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"  # tooth36
    r"|(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])"  # kidneyL
    r"|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zß-ÿ])"  # LKidney
)

_FDI_TOOTH = re.compile(r"[1-4][1-8]|[5-8][1-5]")
"""Number of a tooth in the FDI notation (ISO 3950), whose first digit tells the side."""

_UNIVERSAL_TOOTH = re.compile(r"[1-9]|[12][0-9]|3[0-2]")
_UNIVERSAL_MILK_TOOTH = re.compile(r"[A-T]")
"""In the Universal notation teeth are counted from right to left in the upper jaw, and back in the lower one."""

_TOOTH = re.compile(
    r"tooth|teeth|molar|incisor|canine|cuspid|zahn|zähne|dent|\bdens\b|diente|\btand|牙|歯|зуб|\bT?#", re.IGNORECASE
)


def names_a_side(names: Sequence[str]) -> bool:
    """Whether any name tells a side: a word for it, a quadrant, or the number of a tooth (FDI or Universal).

    Args:
        names: of the labels, such as ``left canal``, ``Hippocampus_L``, ``lh.amygdala``, ``tooth36``, ``#14``, ``UR6``.
    """
    return any(_tells_a_side(name) for name in names)


def _tells_a_side(name: str) -> bool:
    words = [word for word in _BORDERS.split(name) if word]
    if _SIDES.intersection(word.lower() for word in words) or _OTHER_SCRIPTS.search(name):
        return True
    kinds = [_FDI_TOOTH]
    if _TOOTH.search(name):
        kinds += [_UNIVERSAL_TOOTH, _UNIVERSAL_MILK_TOOTH]
    elif len(words) == 1:  # Nothing but a number: most likely that of a tooth.
        kinds += [_UNIVERSAL_TOOTH]
    return any(kind.fullmatch(word) for kind in kinds for word in words)
