"""Which files each Slicer module is made of, and the lists of them in its CMakeLists.txt.

    python Testing/Architecture/module_files.py

writes the lists anew from the folders; a test compares the two.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = ("BARLSegment", "BARLTrainer")
_PACKAGES = {"BARLSegment": ("BARLSegmentLib",), "BARLTrainer": ("BARLTrainerLib", "barl")}
_SOURCES_OF_OTHERS = {".svg", ".md"}
"""What only the sources hold: the drawings of the icons, pages for developers."""


def scripts(module: str, root: Path = ROOT) -> list[str]:
    """The Python files of a module, relative to its folder."""
    folder = root / module
    found = [path for package in _PACKAGES[module] for path in (folder / package).rglob("*.py")]
    return [f"{module}.py", *_relative(found, folder)]


def resources(module: str, root: Path = ROOT) -> list[str]:
    """All other files that a module needs when it runs."""
    folder = root / module
    found = [path for path in (folder / "Resources").rglob("*") if path.suffix not in _SOURCES_OF_OTHERS]
    found += [path for package in _PACKAGES[module] for path in (folder / package).rglob("*") if path.suffix != ".py"]
    return _relative([path for path in found if path.is_file() and "__pycache__" not in path.parts], folder)


def listed(cmake: str, name: str) -> list[str]:
    """The entries of one list in a CMakeLists.txt."""
    block = re.search(rf"set\({name}\n(.*?)\n? *\)", cmake, re.DOTALL)
    if block is None:
        raise ValueError(f"there is no list {name}")
    return [line.strip().replace("${MODULE_NAME}", _module(cmake)) for line in block[1].splitlines() if line.strip()]


def written(cmake: str, name: str, entries: list[str]) -> str:
    """A CMakeLists.txt with that list filled."""
    lines = "".join(f"  {entry}\n" for entry in entries)
    return re.sub(rf"set\({name}\n.*?\)", f"set({name}\n{lines}  )", cmake, count=1, flags=re.DOTALL)


def main() -> None:
    """Write the lists of both modules."""
    for module in MODULES:
        path = ROOT / module / "CMakeLists.txt"
        text = written(path.read_text(encoding="utf-8"), "MODULE_PYTHON_SCRIPTS", scripts(module))
        path.write_text(written(text, "MODULE_PYTHON_RESOURCES", resources(module)), encoding="utf-8")


def _relative(paths: list[Path], folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _module(cmake: str) -> str:
    return re.findall(r"set\(MODULE_NAME (\w+)\)", cmake)[0]


if __name__ == "__main__":
    main()
