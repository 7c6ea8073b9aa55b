"""What tables of campaigns on molecules have in common, and how a cell of one is made."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from benchmarks.cells import Job
from benchmarks.optimization_molecules import Library, campaign
from molae.runs import Run
from molae.workflows.campaign.record import Record


@dataclass(frozen=True)
class Protocol:
    """What all cells of a table have in common; a cell of another protocol is not mixed in.

    Attributes:
        data: Name and sha256 of the molecules.
        model: Name and sha256 of the weights.
        calls: New molecules that may be scored.
        batch: Candidates that are asked for at once.
        start: Molecules of the data to begin with.
    """

    data: tuple[str, str]
    model: tuple[str, str | None]
    calls: int
    batch: int
    start: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "data": list(self.data), "model": list(self.model)}


class Campaigns:
    """What cells are made of.

    Args:
        protocol: What is the same in all of them.
        options: Of the command line.
        library: The molecules.
    """

    def __init__(self, protocol: Protocol, options: argparse.Namespace, library: Library) -> None:
        self.protocol, self.options, self.library = protocol, options, library

    @cached_property
    def run(self) -> Run:
        """The model; campaigns do not change it."""
        return Run.load(self.options.model, self.options.device)

    def campaigned(self, job: Job, oracle: str, settings: Mapping[str, Any]) -> Record:
        """The campaign of a cell, begun or gone on with.

        Args:
            job: The cell.
            oracle: What scores.
            settings: Arguments of ``optimize`` beside those that all cells have.
        """
        told = json.dumps([self.protocol.to_dict(), dict(job.settings)], sort_keys=True)
        name = f"{job.name}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
        screening = settings["strategy"] == "screening"
        source = {"library": self.library.path} if screening else {"model": self.run}
        return campaign(
            self.options.work / name,
            oracle,
            calls=self.protocol.calls,
            batch=self.protocol.batch,
            seed=job.facts["seed"],
            device=self.options.device,
            **source,
            **settings,
        )
