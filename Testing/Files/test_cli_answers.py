"""What holds for every command: help, one JSON object, exit codes, no traceback, no torch where none is needed."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_study import barl, box, make_cohort, snapshot, write_image

from barl.catalog import CARDS
from barl.cli import app as app_module
from barl.cli import methods as methods_module
from barl.cli.train import parse_settings
from barl.errors import SettingsError
from barl.jobs import JobSpec, State, Status, write_spec, write_status

COMMANDS = [
    ("demo",),
    ("cohort", "create"),
    ("cohort", "add"),
    ("cohort", "annotate"),
    ("cohort", "audit"),
    ("cohort", "status"),
    ("cohort", "role"),
    ("cohort", "next"),
    ("train",),
    ("predict",),
    ("evaluate",),
    ("jobs", "list"),
    ("jobs", "show"),
    ("jobs", "stop"),
    ("jobs", "resume"),
    ("methods",),
    ("doctor",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_json(command: tuple[str, ...]) -> None:
    answer = barl(*command, "--help")

    assert answer.code == 0
    assert "--json" in answer.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_answers_a_wrong_option_with_one_json_object_and_code_2(command: tuple[str, ...]) -> None:
    answer = barl(*command, "--no-such-option", "--json")

    assert answer.code == 2
    assert answer.json["error"]["type"] == "UsageError"
    assert "--no-such-option" in answer.json["error"]["message"]


def test_the_readme_lists_every_command() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

    for command in COMMANDS:
        assert f"barl {' '.join(command)}" in readme or command[0] == "jobs", command
    assert r"barl jobs list\|show\|stop\|resume" in readme


def test_help_is_there_within_half_a_second_and_without_torch() -> None:
    code = (
        "import sys; from barl.cli import main; main(['--help']); sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    durations = []
    for _ in range(3):
        start = time.perf_counter()
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        durations.append(time.perf_counter() - start)
        assert child.returncode == 0, child.stderr
    assert min(durations) < 0.5 or min(durations) < 4 * _bare_start(), durations


def _bare_start() -> float:
    """How long Python alone takes here: a busy machine must not fail the test."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import typer, rich.progress"], check=True, timeout=60)
    return time.perf_counter() - start


def test_cohorts_and_jobs_are_kept_without_torch(tmp_path: Path) -> None:
    image = write_image(tmp_path / "P01.nii.gz")
    calls = [
        ["cohort", "create", str(tmp_path / "study"), "--labels", "jaw"],
        ["cohort", "add", str(tmp_path / "study"), str(image)],
        ["cohort", "status", str(tmp_path / "study")],
        ["jobs", "list", str(tmp_path)],
        ["methods"],
    ]
    code = f"import sys; from barl.cli import main; codes = [main(call) for call in {calls!r}]; "
    code += "sys.exit(str(codes) if any(codes) or 'torch' in sys.modules else 0)"

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert child.returncode == 0, child.stderr


def test_an_unexpected_error_is_short_and_says_where_more_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(methods_module, "CARDS", None)
    monkeypatch.setattr(app_module.tempfile, "tempdir", str(tmp_path))

    spoken, as_json = barl("methods"), barl("methods", "--json")

    assert spoken.code == as_json.code == 1
    assert "Traceback" not in spoken.said + as_json.said
    assert as_json.json["error"]["type"] == "TypeError"
    logs = list(tmp_path.glob("barl-error-*.txt"))
    assert len(logs) == 2
    assert any(log.name in spoken.said for log in logs)
    assert "Traceback" in logs[0].read_text(encoding="utf-8")


def test_debug_shows_the_traceback_and_still_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods_module, "CARDS", None)

    answer = barl("methods", "--json", "--debug")

    assert answer.code == 1
    assert "Traceback" in answer.err
    assert answer.json["error"]["type"] == "TypeError"


def test_the_methods_are_listed_with_when_to_choose_them() -> None:
    shown, listed = barl("methods"), barl("methods", "--json").json["methods"]

    assert [method["name"] for method in listed] == [card.name for card in CARDS]
    assert all(method["when_to_choose"] and method["reference"] for method in listed)
    assert "supervised" in shown.out


def test_the_doctor_names_no_person_no_computer_and_no_folder() -> None:
    record = barl("doctor", "--json").json
    text = json.dumps(record)

    assert {"python", "system", "devices", "bf16", "cores", "memory_gib", "disk_free_gib", "versions"} <= set(record)
    assert record["versions"]["numpy"]
    assert str(Path.home()) not in text.replace(record["system"], "") or str(Path.home()) == "/"
    assert str(Path.cwd()) not in text
    assert platform.node() not in text or platform.node() in record["system"]
    assert barl("doctor").code == 0


def test_settings_are_numbers_switches_or_text() -> None:
    pairs = ["dpr_weight=0.5", "second_branch=same", "deep = true", "name=a=b"]

    assert parse_settings(pairs) == {"dpr_weight": 0.5, "second_branch": "same", "deep": True, "name": "a=b"}


@pytest.mark.parametrize("pairs", [["dpr_weight"], ["=1"], ["a=1", "a=2"]])
def test_settings_without_a_key_or_twice_are_refused(pairs: list[str]) -> None:
    with pytest.raises(SettingsError, match="--set"):
        parse_settings(pairs)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--method", "magic"), "'supervised', 'mean_teacher', "),
        (("--minutes", "0"), "--minutes must be a number above 0"),
        (("--minutes", "nan"), "--minutes must be a number above 0"),
        (("--steps", "-3"), "--steps must be a number above 0"),
        (("--memory-gib", "inf"), "--memory-gib must be a number above 0"),
        (("--preset", "best"), "quick"),
        (("--set", "dpr_weight"), "key=value"),
    ],
)
def test_a_training_that_makes_no_sense_is_not_started(tmp_path: Path, arguments: tuple[str, ...], part: str) -> None:
    cohort = make_cohort(tmp_path / "study", "P01")
    before = snapshot(tmp_path)

    answer = barl("train", cohort, *arguments)

    assert answer.code == 2
    assert part in answer.said
    assert snapshot(tmp_path) == before


def test_a_misspelled_command_is_asked_about() -> None:
    assert "No such command 'trian'. Did you mean 'train'? See barl --help." in barl("trian").said


def test_a_training_beside_another_one_of_the_cohort_is_told_that_they_share(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "study", "P01")
    barl("cohort", "annotate", cohort, "P01", write_image(tmp_path / "drawn.nii.gz", box()))
    for number, state in enumerate((State.STOPPED, State.RUNNING), start=1):
        write_spec(cohort / "rounds" / f"000{number}", JobSpec(kind="train"))
        write_status(cohort / "rounds" / f"000{number}", Status(state=state).by_this_process())
    (cohort / "rounds" / "0003").mkdir()

    said = barl("train", cohort, "--device", "none").said

    assert "Round 0002 of this cohort is being trained, too: both share this computer." in said
    assert "Round 0001" not in said


def test_a_cohort_without_annotations_starts_no_round(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "study", "P01", "P02")
    before = snapshot(tmp_path)

    answer = barl("train", cohort, "--json")

    assert answer.code == 2
    assert answer.json["error"]["type"] == "CohortError"
    assert "barl cohort annotate" in answer.json["error"]["message"]
    assert snapshot(tmp_path) == before
    assert not (cohort / "rounds").exists()


def test_training_and_prediction_need_a_cohort_and_a_model(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "study", "P01")
    image = tmp_path / "scans" / "P01.nii.gz"
    before = snapshot(tmp_path)

    no_cohort = barl("train", tmp_path / "nowhere")
    no_model = barl("predict", cohort, image, "--output", tmp_path / "out")
    nowhere = barl("predict", tmp_path / "nowhere", image, "--output", tmp_path / "out")

    assert no_cohort.code == no_model.code == nowhere.code == 2
    assert "does not exist" in no_cohort.said
    assert "barl train" in no_model.said
    assert "not a folder" in nowhere.said
    assert snapshot(tmp_path) == before
