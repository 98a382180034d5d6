"""The tutorial quotes what the panels really say, and shows every picture that the journey takes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from syntax_trees import trees

_SHORTEST = 6
"""Letters of a piece between two gaps; shorter ones are in every sentence."""


@pytest.fixture
def said(repository: Path) -> str:
    """All strings of the sources; where a value is put in, a gap."""
    folders = ("BARLSegment/BARLSegmentLib", "BARLTrainer/BARLTrainerLib", "BARLTrainer/barl")
    return "\n".join(
        node.value
        for folder in folders
        for _path, tree in trees(repository / folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def quoted(text: str) -> list[str]:
    """The messages in the table of what to do."""
    table = text.split("## When something does not work")[1]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


def missing(message: str, said: str) -> list[str]:
    """Pieces of a message that nobody says."""
    pieces = [piece.strip(" .:,") for piece in message.split("...")]
    return [piece for piece in pieces if len(piece) >= _SHORTEST and piece not in said]


def test_every_quoted_message_is_one_that_a_person_may_read(repository: Path, said: str) -> None:
    messages = quoted((repository / "docs" / "tutorial.md").read_text(encoding="utf-8"))

    assert len(messages) > 20
    assert [piece for message in messages for piece in missing(message, said)] == []


def test_a_message_that_nobody_says_would_be_noticed(said: str) -> None:
    assert missing("The volume ... is much too heavy.", said) == ["is much too heavy"]


def test_the_tutorial_shows_the_pictures_that_the_journey_takes(repository: Path) -> None:
    text = (repository / "docs" / "tutorial.md").read_text(encoding="utf-8")
    source = (repository / "Testing" / "Panels" / "test_journey.py").read_text(encoding="utf-8")
    shown = re.findall(r"images/tutorial/([\w-]+)\.png", text)
    taken = re.findall(r'camera\.take\("([\w-]+)"\)', source)
    there = sorted(path.stem for path in (repository / "docs" / "images" / "tutorial").glob("*.png"))

    assert shown == sorted(taken) == there
