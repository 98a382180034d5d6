"""The cards of settings are read from the sources without running them: they must say what the engine itself knows."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import pytest

from barl.catalog import CARDS
from barl.errors import SettingsError
from barl.methods.factory import method_class, settings_from
from barl.setting_cards import SECTIONS, Kind, SettingCard, Value, method_cards, section_cards


def _class(section: str) -> type:
    module, _, name = SECTIONS[section].partition(":")
    return getattr(importlib.import_module(module), name)


def _declared(cls: type) -> dict[str, Value]:
    return {field.name: _typed(field.default) for field in dataclasses.fields(cls)}


def _typed(value: Any) -> Value:
    """As a person would type it, where it is no plain value."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("method", [card.name for card in CARDS])
def test_a_methods_settings_and_defaults_are_those_of_its_class(method: str) -> None:
    assert {card.key: card.default for card in method_cards(method)} == _declared(method_class(method).settings_class)


@pytest.mark.parametrize("section", SECTIONS)
def test_shared_settings_are_those_of_their_class(section: str) -> None:
    cards = section_cards(section)

    assert {card.name: card.default for card in cards} == _declared(_class(section))
    assert all(card.key == f"{section}.{card.name}" for card in cards)


def _all_cards() -> list[tuple[type, SettingCard]]:
    found = [(_class(section), card) for section in SECTIONS for card in section_cards(section)]
    return found + [(method_class(one.name).settings_class, card) for one in CARDS for card in method_cards(one.name)]


@pytest.mark.parametrize(("cls", "card"), _all_cards(), ids=lambda each: getattr(each, "key", ""))
def test_every_setting_is_explained_and_takes_what_its_card_offers(cls: type, card: SettingCard) -> None:
    offered = [True, False] if card.kind is Kind.SWITCH else list(card.choices) or [card.default]

    assert len(card.explanation) > 15
    assert card.default in offered
    for value in offered:
        assert _typed(getattr(settings_from(cls, {card.name: value}, owner="a test"), card.name)) == value
        assert card.parse(str(value)) == value


def test_text_of_the_wrong_kind_is_refused_with_what_is_allowed() -> None:
    cards = {card.name: card for card in section_cards("network")}

    assert cards["base_filters"].parse(" 8 ") == 8
    with pytest.raises(SettingsError, match=r"network\.base_filters must be a whole number, got '8\.5'"):
        cards["base_filters"].parse("8.5")
    with pytest.raises(SettingsError, match=r"network\.dropout must be a number, got 'nan'"):
        cards["dropout"].parse("nan")
    assert cards["late_halvings"].parse(" 2, 0,0 ") == "2,0,0"
    with pytest.raises(
        SettingsError, match=r"network\.late_halvings must be whole numbers with commas .*, got '2 0 0'"
    ):
        cards["late_halvings"].parse("2 0 0")
    with pytest.raises(SettingsError, match=r"must be one of \(instance, batch\), got 'group'"):
        cards["normalization"].parse("group")


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(SettingsError, match="got 'magic'"):
        method_cards("magic")
