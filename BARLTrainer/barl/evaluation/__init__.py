"""How good a prediction is: scores of cases, means over them, and a page to look at."""

from barl.evaluation.metrics import ClassScore, score_case
from barl.evaluation.report import CaseScores, ClassSummary, Statistic, summary, write_csv

__all__ = ["CaseScores", "ClassScore", "ClassSummary", "Statistic", "score_case", "summary", "write_csv"]
