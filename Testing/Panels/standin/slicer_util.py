"""The part of slicer.util that needs Qt; the rest is slicer-core's own."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from standin import ui_files
from standin.binding import Binding


class UtilBodies:
    """Functions of slicer.util with a person behind them: what they show is kept, what they ask is answered."""

    def __init__(self, binding: Binding, settings: Any) -> None:
        self._binding = binding
        self._settings = settings
        self.shown: list[str] = []
        """What was said in pop-ups and in the status bar."""
        self.reload: Callable[[str], Any] = self._show
        """How a module is loaded again."""

    def bodies(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "loadUI": lambda path: ui_files.load(self._binding, Path(path)),
            "childWidgetVariables": self._child_widget_variables,
            "findChildren": self._find_children,
            "infoDisplay": self._show,
            "warningDisplay": self._show,
            "errorDisplay": self._show,
            "showStatusMessage": lambda message, duration=0: self.shown.append(message) or True,
            "messageBox": lambda text, parent=None, **_: self._binding.ask(text),
            "confirmOkCancelDisplay": self._ask,
            "confirmYesNoDisplay": self._ask,
            "tryWithErrorDisplay": self._try_with_error_display,
            "settingsValue": self._settings_value,
            "mainWindow": lambda: None,
            "reloadScriptedModule": lambda moduleName: self.reload(moduleName),
            "selectModule": lambda module: self.shown.append(f"module {module}"),
            "forceRenderAllViews": lambda: None,
        }

    def _show(self, text: str, *_: Any, **__: Any) -> None:
        self.shown.append(text)

    def _ask(self, text: str, *_: Any, **__: Any) -> Any:
        return self._binding.ask(text)

    def _child_widget_variables(self, widget: Any) -> SimpleNamespace:
        named = {each.objectName: each for each in widget.findChildren("QObject") if each.objectName}
        return SimpleNamespace(**named)

    def _find_children(
        self, widget: Any = None, name: str = "", text: str = "", title: str = "", className: str = ""
    ) -> list[Any]:
        found = widget.findChildren(className or "QWidget")
        return [
            each
            for each in found
            if (not name or each.objectName == name) and (not text or getattr(each, "text", None) == text)
        ]

    def _settings_value(
        self, key: str, default: Any, converter: Any = lambda value: value, settings: Any = None
    ) -> Any:
        store = settings if settings is not None else self._settings
        return converter(store.value(key)) if store.contains(key) else default

    @contextlib.contextmanager
    def _try_with_error_display(
        self, message: str | None = None, show: bool = True, waitCursor: bool = False
    ) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.shown.append(f"{message}\n\n{error}" if message else str(error))
            if not show:
                raise
