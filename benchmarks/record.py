"""Where benchmarks leave their numbers: benchmarks/results/NAME.json, with what they depend on."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from molae.datasets.files import replacing

#: The folder of results, beside this file.
RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("molae", "numpy", "torch", "rdkit", "nltk", "lark", "scikit-learn", "joblib")


def machine() -> dict[str, Any]:
    """What the numbers depend on: processor, cores that may be used, versions."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": _cores(),
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def record(name: str, values: dict[str, Any]) -> Path:
    """Write ``values`` (JSON values, seeds among them) with machine, date and command line.

    Returns:
        The file, ``benchmarks/results/NAME.json``; an older one of that name is replaced.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    write(path, values)
    return path


def write(path: Path, values: dict[str, Any]) -> None:
    """Values with what they depend on, whole or not at all."""
    # File names only: where data lies on one machine is of no use on another.
    words = [Path(word).name if os.sep in word else word for word in sys.orig_argv]
    content = {
        "name": path.stem,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(words),
        "machine": machine(),
        "values": values,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # honours taskset and containers; Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
