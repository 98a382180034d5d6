"""Which case to annotate next. No torch: Slicer asks, too."""

from barl.ranking.kept import write_ranking
from barl.ranking.next_cases import RankedCase, next_cases

__all__ = ["RankedCase", "next_cases", "write_ranking"]
