"""``barl methods``: which method when."""

from __future__ import annotations

from rich.markup import escape

from barl.catalog import CARDS
from barl.cli.output import JsonFlag, Output, table


def methods(as_json: JsonFlag = False) -> None:
    """Show the methods and when to choose which."""
    out = Output(as_json)
    listing = table("Methods", "method", "what it does", "choose it when", "cost", "reference")
    for card in CARDS:
        listing.add_row(
            f"[bold]{card.name}[/]", card.sentence, card.when_to_choose, f"{card.cost:.1f}x", escape(card.reference)
        )
    hint = "cost: arithmetic of one training step, relative to supervised"
    out.result({"methods": list(CARDS)}, listing, hint)
