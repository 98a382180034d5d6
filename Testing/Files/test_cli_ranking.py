"""``barl cohort next`` through the command line."""

from __future__ import annotations

from pathlib import Path

from cli_study import barl, make_cohort


def test_the_next_cases_are_listed_with_rank_score_and_reason(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "study", "P01", "P02", "P03")

    answer = barl("cohort", "next", cohort, "--json")
    shown = barl("cohort", "next", cohort, "--count", "1")

    assert answer.code == 0
    cases = answer.json["cases"]
    assert [case["rank"] for case in cases] == [1, 2, 3]
    assert {case["case_id"] for case in cases} == {"P01", "P02", "P03"}
    assert set(cases[0]) == {"rank", "case_id", "score", "reason", "predicted"}
    assert cases[0]["case_id"] in shown.said
    assert cases[1]["case_id"] not in shown.out


def test_a_folder_that_is_no_cohort_is_told(tmp_path: Path) -> None:
    answer = barl("cohort", "next", tmp_path)

    assert answer.code == 2
    assert "cohort.json" in answer.said
