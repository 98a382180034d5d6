"""One self-contained HTML page about a comparison of methods. Read page.py first."""

from barl.evaluation.html_report.page import write_html_report
from barl.evaluation.html_report.records import Curve, MethodResult, Report, ReportCase

__all__ = ["Curve", "MethodResult", "Report", "ReportCase", "write_html_report"]
