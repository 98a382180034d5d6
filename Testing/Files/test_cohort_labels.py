"""The label table and the split."""

from __future__ import annotations

import json

import pytest

from barl.cohort import Label, LabelTable, default_color, propose_validation
from barl.errors import LabelError


def _label(value: int, name: str) -> Label:
    return Label(value=value, name=name, color=(1, 2, 3))


def test_a_table_gives_values_names_and_classes_in_its_order() -> None:
    table = LabelTable((_label(7, "teeth"), _label(3, "jaw")))

    assert (table.values, table.names) == ((7, 3), ("teeth", "jaw"))
    assert (table.num_classes, table.class_values) == (3, (0, 7, 3))
    assert table.by_name(" JAW ").value == 3
    assert table.by_value(7).name == "teeth"


def test_a_table_survives_json() -> None:
    table = LabelTable((Label(value=254, name="Nervus alveolaris – links", color=(0, 255, 9), terminology="SCT~1"),))

    assert LabelTable.from_json(json.loads(json.dumps(table.to_json()))) == table


@pytest.mark.parametrize("value", [0, 255, -1, 256])
def test_values_for_background_and_unknown_are_refused(value: int) -> None:
    with pytest.raises(LabelError, match=f"from 1 to 254.*got {value}"):
        _label(value, "jaw")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "background"])
def test_names_that_cannot_be_told_apart_from_nothing_are_refused(name: str) -> None:
    with pytest.raises(LabelError):
        _label(1, name)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((_label(1, "jaw"), _label(1, "teeth")), "value 1"),
        ((_label(1, "jaw"), _label(2, "Jaw ")), "name 'jaw'"),
        ((), "at least one"),
    ],
)
def test_a_table_with_repeated_or_no_labels_is_refused(labels: tuple[Label, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelTable(labels)


@pytest.mark.parametrize("color", [[1, 2], [1, 2, 256], [1, 2, "3"], None])
def test_a_color_that_is_none_is_refused(color: object) -> None:
    with pytest.raises(LabelError, match="color"):
        LabelTable.from_json([{"value": 1, "name": "jaw", "color": color}])


def test_a_missing_label_is_told_with_the_known_ones() -> None:
    table = LabelTable.from_names(["jaw", "teeth"])

    with pytest.raises(LabelError, match="no label 9; its labels are 1 jaw, 2 teeth"):
        table.by_value(9)
    with pytest.raises(LabelError, match="no label 'nerve'"):
        table.by_name("nerve")


def test_default_colors_differ() -> None:
    assert len({default_color(index) for index in range(32)}) == 32


@pytest.mark.parametrize(
    ("annotated", "kept"), [(0, 0), (3, 0), (4, 1), (7, 1), (8, 2), (12, 2), (13, 3), (50, 10), (200, 10)]
)
def test_about_a_fifth_is_kept_for_validation(annotated: int, kept: int) -> None:
    ids = [f"P{number:03d}" for number in range(annotated)]

    chosen = propose_validation(ids, seed=1)

    assert len(chosen) == kept
    assert set(chosen) <= set(ids)


def test_the_choice_hangs_on_seed_and_ids_and_not_on_their_order() -> None:
    ids = [f"P{number:03d}" for number in range(40)]

    assert propose_validation(ids, seed=1) == propose_validation(reversed(ids), seed=1)
    assert propose_validation(ids, seed=1) != propose_validation(ids, seed=2)
    assert len(set(propose_validation(ids, seed=1)) & set(propose_validation([*ids, "P040"], seed=1))) >= 7
