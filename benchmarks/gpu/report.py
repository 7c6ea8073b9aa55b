"""Puts what ``run.sh`` left behind into one file, gpu.json, and says the most of it.

python -m benchmarks.gpu.report OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import machine


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Join, write, show."""
    out = Path(sys.argv[1])
    card = read(out / "run" / "card.json")
    there = torch.cuda.is_available()
    found = {
        "name": "gpu",
        "machine": machine() | {"gpu": torch.cuda.get_device_name() if there else None},
        "check": read(out / "check.json"),
        "training": card["training"],
        "command": card["command"],
        "metrics": card["metrics"],
        "evaluation": read(out / "evaluate.json"),
    }
    (out / "gpu.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    training = card["training"]
    print(
        f"{training['device']}, {training['precision']}: {training['examples_per_second']} "
        f"molecules a second, {training['epochs']} passes in {training['seconds']:.0f} s; "
        f"reconstruction {card['metrics']['reconstruction']:.3f}"
    )


if __name__ == "__main__":
    main()
