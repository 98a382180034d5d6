"""``barl doctor``: what a question about BARL should come with. No names of people or machines, no paths."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib import metadata
from typing import Any

from rich.markup import escape

import barl
from barl.cli.output import JsonFlag, Output, table

_GIB = 2**30
_LEAST_FREE_DISK_GIB = 5.0


def doctor(as_json: JsonFlag = False) -> None:
    """Show Python, torch, device, memory, free disk and versions; holds no names and no patient data."""
    record = examine()
    shown = table("barl doctor", "what", "found")
    for key, value in record.items():
        if key not in {"versions", "problems"}:
            shown.add_row(key.replace("_", " "), escape(_words(value)))
    for name, version in record["versions"].items():
        shown.add_row(name, version or "[red]not installed[/]")
    problems = [f"[yellow]Note:[/] {escape(problem)}" for problem in record["problems"]]
    Output(as_json).result(record, shown, *(problems or ["[green]Everything that BARL needs is here.[/]"]))


def examine() -> dict[str, Any]:
    """Look at this computer."""
    import psutil

    memory = psutil.virtual_memory()
    record: dict[str, Any] = {
        "barl": barl.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": _cores(),
        "memory_gib": round(memory.total / _GIB, 1),
        "memory_free_gib": round(memory.available / _GIB, 1),
        "disk_free_gib": round(shutil.disk_usage(".").free / _GIB, 1),
        **_torch(),
        "versions": _versions(),
    }
    record["problems"] = _problems(record)
    return record


def _cores() -> int:
    """Those this process may use, which a container or a cluster may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _torch() -> dict[str, Any]:
    try:
        import torch
    except (ImportError, OSError) as error:  # a broken CUDA build fails with OSError while it loads its libraries
        return {"devices": [], "bf16": False, "torch_error": type(error).__name__}
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return {"devices": [f"cuda: {name}" for name in names], "bf16": torch.cuda.is_bf16_supported()}
    if torch.backends.mps.is_available():
        return {"devices": ["mps"], "bf16": False}
    return {"devices": ["cpu"], "bf16": _cpu_has_bf16(torch)}


def _cpu_has_bf16(torch: Any) -> bool:
    """Whether the processor multiplies bf16 in hardware; the probes are private to torch and may be missing."""
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes)


def _versions() -> dict[str, str | None]:
    try:
        requirements = metadata.requires("barl") or []
    except metadata.PackageNotFoundError:  # used from its folder, as Slicer does
        requirements = ["torch", "numpy", "SimpleITK"]
    needed = {re.split(r"[^\w.-]", line)[0] for line in requirements if "extra ==" not in line}
    return {name: _version(name) for name in sorted(needed, key=str.lower)}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _problems(record: dict[str, Any]) -> list[str]:
    problems = [
        f"{name} is not installed: pip install {name}" for name, version in record["versions"].items() if not version
    ]
    if "torch_error" in record:
        problems.append(
            f"torch cannot be loaded ({record['torch_error']}): cohorts work, training and prediction do not."
        )
    elif record["devices"] == ["cpu"]:
        problems.append("No CUDA device: training runs on the processor, which takes longer.")
    if record["disk_free_gib"] < _LEAST_FREE_DISK_GIB:
        problems.append(f"Only {record['disk_free_gib']} GiB free on this disk: a cohort's cache and rounds need room.")
    return problems


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
