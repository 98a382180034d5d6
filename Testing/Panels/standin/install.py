"""Put the stand-in behind the names qt, ctk and slicer, and take it away again."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from standin import ctk_widgets, mrml_widgets, scripted
from standin.application import BODIES, Application, qSlicerApplication
from standin.binding import Binding
from standin.facts import Facts
from standin.namespaces import ClassNamespace, FunctionModule, SlicerNamespace
from standin.parameter_nodes import ParameterNodeModule
from standin.sample_data import SampleDataModule
from standin.slicer_util import UtilBodies


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What a test gets."""

    application: Application
    binding: Binding
    util: UtilBodies
    slicer: Any


@contextmanager
def installed(version: str = "5.10") -> Iterator[StandIn]:
    """The stand-in for one version of Slicer, as long as the context lasts."""
    core = importlib.import_module("slicer")
    core_util = importlib.import_module("slicer.util")
    body = qSlicerApplication.instance() or qSlicerApplication()
    binding = Binding(Facts(version), {**ctk_widgets.BODIES, **mrml_widgets.BODIES, **BODIES})
    slicer = SlicerNamespace(binding, core, core.__path__)
    util = UtilBodies(binding, body.settings())
    modules: dict[str, ModuleType] = {
        "qt": ClassNamespace("qt", binding),
        "ctk": ClassNamespace("ctk", binding),
        "slicer": slicer,
        "slicer.util": FunctionModule("slicer.util", binding, util.bodies(), core_util),
        "slicer.i18n": FunctionModule("slicer.i18n", binding, _translations()),
        "slicer.ScriptedLoadableModule": FunctionModule("slicer.ScriptedLoadableModule", binding, scripted.BODIES),
        "slicer.parameterNodeWrapper": ParameterNodeModule(binding),
        "SampleData": SampleDataModule(binding.facts),
    }
    before = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    sys.modules.update(modules)
    for name in ("util", "i18n", "ScriptedLoadableModule", "parameterNodeWrapper"):
        setattr(slicer, name, modules[f"slicer.{name}"])
    slicer.app = binding.wrap(body)
    application = Application(binding, body, slicer)
    util.reload = application.reload
    try:
        yield StandIn(application=application, binding=binding, util=util, slicer=slicer)
    finally:
        application.close()
        binding.connections.removeAll()
        # What was imported meanwhile knows this stand-in's qt, and what was reloaded is not what other tests know.
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_ours(name: str) -> bool:
    top = name.partition(".")[0]
    return top in ("qt", "ctk", "slicer", "barl", "SampleData") or top.startswith("BARL")


def offscreen() -> None:
    """No window system is needed; to be called before the first import of PySide6."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def _translations() -> dict[str, Any]:
    return {
        "tr": lambda text: text,
        "translate": lambda context, text: text,
        "getContext": lambda sourceFile: sourceFile,
    }
