"""Trainings of cells: each in a folder of its own, which the same command finds again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import molae
from molae.runs.run import Run
from molae.workflows.train import train


def folder_of(work: Path, name: str, seed: int, settings: Mapping[str, Any], data: str) -> Path:
    """Where a training lives: another place for other settings or data."""
    told = json.dumps([settings, data], sort_keys=True)
    return work / f"{name}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def finished(folder: Path) -> bool:
    """Whether a folder holds a training that went to its end."""
    return (folder / "card.json").is_file()


def trained(
    data: Path, folder: Path, settings: Mapping[str, Any], benchmark: str, **more: Any
) -> Run:
    """The run of a cell: found finished in its folder, gone on with, or begun.

    Args:
        data: What is learnt from.
        folder: Of the run.
        settings: Arguments of ``molae.train`` that make it what it is.
        benchmark: That it is of, for its card.
        more: Arguments that do not change it, ``device`` among them.
    """
    if finished(folder):
        return molae.load(folder, device=more["device"])
    return train(
        data,
        folder,
        **settings,
        **more,
        resume=True,
        command=f"python -m benchmarks.{benchmark}, {folder.name}",
        remembered=False,
    )
