"""Which case to annotate next. No torch: Slicer asks, too."""

from barl.ranking.next_cases import RankedCase, next_cases

__all__ = ["RankedCase", "next_cases"]
