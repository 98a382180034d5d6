"""A line in a panel that says what went wrong or right: no pop-up, and it stays until the next word."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import qt
from slicer.i18n import tr as _

from barl.errors import BarlError
from BARLSegmentLib.logic.Questions import Question

logger = logging.getLogger(__name__)

# A colored edge beside the text reads well on light and on dark; colored text does not.
_EDGES = {"info": "#2f7fc1", "good": "#2e9e5b", "error": "#d64545"}


class MessageLine:
    """Shows one message at a time in a label.

    Args:
        label: a ``QLabel``; it is hidden while there is nothing to say.
    """

    def __init__(self, label: Any) -> None:
        self._label = label
        label.textFormat = qt.Qt.PlainText  # Names of files and cases may hold what looks like markup.
        self._depth = 0

    def clear(self) -> None:
        """Say nothing."""
        self._label.hide()
        self._label.setText("")

    def info(self, text: str) -> None:
        """Something worth knowing."""
        self._show("info", text)

    def good(self, text: str) -> None:
        """Something that worked."""
        self._show("good", text)

    def error(self, text: str) -> None:
        """Something that did not work, and what to do."""
        self._show("error", text)

    def telling(self, *, keep: bool = False) -> AbstractContextManager[None, bool]:
        """Show a user's mistake here instead of raising it; questions pass, for only the panel can ask them.

        The outermost one first clears what was said before, unless that is to be kept.

        What nobody foresaw is told with the advice to look into the log, which has the details.
        """
        # Said like this, type checkers know that what comes after a mistake is reached.
        return cast("AbstractContextManager[None, bool]", self._telling(keep))

    @contextmanager
    def _telling(self, keep: bool) -> Iterator[None]:
        if not keep and self._depth == 0:
            self.clear()
        self._depth += 1
        try:
            yield
        except Question:
            raise
        except BarlError as error:
            self.error(str(error))
        except Exception as error:
            logger.exception("a panel failed")
            self.error(
                _("This should not have happened: {error}. The details are in the log (View, Error Log).").format(
                    error=f"{type(error).__name__}: {error}"
                )
            )
        finally:
            self._depth -= 1

    def _show(self, kind: str, text: str) -> None:
        self._label.setStyleSheet(f"border: 0px; border-left: 3px solid {_EDGES[kind]}; padding: 2px 6px;")
        self._label.setText(text)
        self._label.show()
