"""How long is `molae generate -n 10000 -o new.smi`, from the command to the file?

    python -m benchmarks.generate

Times whole processes, start-up included, as a user runs them: ten thousand molecules, and one,
which is little more than the start. The shortest of ``--repeats`` is told beside the median. What
the file holds is read again: molecules, and how many of them differ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import record

#: Molecules of the two commands.
MANY, ONE = 10_000, 1
COMMAND = [sys.executable, "-c", "from molae.cli.main import app; app()", "generate"]


def once(number: int, file: Path, options: Sequence[str]) -> float:
    """Seconds of one command, which writes ``number`` molecules into ``file``."""
    words = [*COMMAND, "-n", str(number), "-o", str(file), *options]
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


def measure(number: int, repeats: int, options: Sequence[str]) -> dict[str, Any]:
    """What so many commands took, and what the last one wrote."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new.smi"
        seconds = [once(number, file, options) for _ in range(repeats)]
        texts = file.read_text("utf-8").split()
    return {
        "molecules": len(texts),
        "unique": len(set(texts)),
        "seconds": [round(each, 2) for each in seconds],
        "least": round(min(seconds), 2),
        "median": round(median(seconds), 2),
    }


def main(words: Sequence[str] | None = None) -> None:
    """Time both, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--number", type=int, default=MANY, help="molecules")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-m", "--model", default="zinc", help="a run, or what ships")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(words)
    given = ["-m", options.model, "--seed", str(options.seed), "--device", options.device]
    measure(ONE, 1, given)  # compiled code is kept on disc
    found = {
        "model": options.model,
        "seed": options.seed,
        "many": measure(options.number, options.repeats, given),
        "one": measure(ONE, options.repeats, given),
    }
    for name in ("many", "one"):
        each = found[name]
        print(
            f"{each['molecules']:,} molecules, {each['unique']:,} of them different: "
            f"{each['median']:.1f} s (least {each['least']:.1f})"
        )
    print(record("generate", found))


if __name__ == "__main__":
    main()
