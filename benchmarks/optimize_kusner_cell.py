"""One cell of the table on penalised logP in rounds: a method with one seed."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cells import Values
from benchmarks.optimization_molecules import (
    ATOMS,
    FILTERS,
    Floats,
    Library,
    best_of,
    campaign,
    shares,
    spent,
)
from benchmarks.optimize_kusner_rounds import SCORE, Protocol, Rounds, summed
from molae.datasets.files import replacing
from molae.oracles import oracle
from molae.runs import Run
from molae.workflows.campaign.record import Record

#: What is compared. Those with ``points`` follow the published protocol; the others are arguments
#: of ``optimize``, but for ``plausible_only``: what breaks the filters or has more than 38 heavy
#: atoms has no score.
METHODS: dict[str, dict[str, Any]] = {
    "published": {"points": "box", "noise": 0.0},
    "published_noise": {"points": "box", "noise": 2.0},
    "published_density": {"points": "density", "noise": 1.0},
    "latent": {"strategy": "latent"},
    "latent_small": {"strategy": "latent", "batch": 10},
    "plausible": {"strategy": "latent", "batch": 10, "plausible_only": True},
    "plausible_retrained": {
        **{"strategy": "latent", "batch": 10, "plausible_only": True},
        "retrain": "every=50,k=1e-3",
    },
    "genetic": {"strategy": "genetic", "batch": 10, "plausible_only": True},
    "gp_genetic": {"strategy": "gp_genetic", "batch": 10, "plausible_only": True},
    "screening": {"strategy": "screening"},
}
#: What they are called in the table.
TITLES = {
    "published": "published protocol, our model",
    "published_noise": "the same, the decoder told of noise 2",
    "published_density": "the same, noise 1, points drawn from the density",
    "latent": "our optimiser",
    "latent_small": "our optimiser, batches of 10",
    "plausible": "our optimiser, plausible molecules only",
    "plausible_retrained": "the same, with weighted retraining",
    "genetic": "genetic algorithm, plausible molecules only",
    "gp_genetic": "genetic algorithm on a Tanimoto process, plausible molecules only",
    "screening": "random screening",
}


class Parts:
    """What cells are made of.

    Args:
        protocol: What is the same in all of them.
        library: The molecules.
        model: The run.
        work: Where campaigns live.
        device: Where to compute.
    """

    def __init__(
        self, protocol: Protocol, library: Library, model: str, work: Path, device: str
    ) -> None:
        self.protocol, self.library, self.work, self.device = protocol, library, work, device
        self._model = model

    @cached_property
    def run(self) -> Run:
        """The model."""
        return Run.load(self._model, self.device)

    @cached_property
    def encoded(self) -> tuple[Tensor, Floats]:
        """Codes (n, D) and scores (n,) of all molecules that the model can encode."""
        z, y = self.library.codes(self.run), self.library.scores(SCORE)
        known = ~z.isnan().any(1).numpy() & np.isfinite(y)
        return z[torch.from_numpy(known)], y[known]

    def place(self, method: str, seed: int) -> Path:
        """The folder of a cell that is being made."""
        told = json.dumps([self.protocol.to_dict(), METHODS[method]], sort_keys=True)
        return self.work / f"{method}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def cell(method: str, seed: int, parts: Parts) -> Values:
    """One method with one seed."""
    if "points" in METHODS[method]:
        return rounds_cell(method, seed, parts)
    return campaign_cell(method, seed, parts)


# Our optimiser -----------------------------------------------------------------------------------


def campaign_cell(method: str, seed: int, parts: Parts) -> Values:
    """A campaign with as many calls as the protocol has candidates."""
    record = campaigned(method, seed, parts)
    scored = [(each.answer.score, each.text) for each in record.best]
    new = sum(each.text not in parts.library.known for each in record.evaluations)
    return {
        **shares(record.counts),
        "valid_points": None,
        "novel": new / max(len(record.evaluations), 1),
        "average": float(np.mean([value for value, _ in scored])) if scored else None,
        "best": best_of(scored, parts.library.known),
        "surrogate": None,
        **spent(record),
    }


def campaigned(method: str, seed: int, parts: Parts) -> Record:
    """The campaign, begun or gone on with."""
    protocol, settings = parts.protocol, dict(METHODS[method])
    only = settings.pop("plausible_only", False)
    asked = oracle(SCORE)
    if only:
        asked = oracle(SCORE, requirements=[f"heavy_atoms<={ATOMS}"], filters=FILTERS)
    if settings["strategy"] == "screening":
        settings["library"] = parts.library.path
    else:
        start = parts.library.start(SCORE, protocol.start, seed, only)
        settings |= {"start": start, "start_free": True, "start_limit": len(start)}
        settings["model"] = parts.run
    return campaign(
        parts.place(method, seed),
        asked,
        calls=protocol.rounds * protocol.batch,
        seed=seed,
        device=parts.device,
        **{"batch": protocol.batch, **settings},
    )


# The published protocol --------------------------------------------------------------------------


def rounds_cell(method: str, seed: int, parts: Parts) -> Values:
    """All rounds of the published protocol, each kept in a file as soon as it is done."""
    z, y = parts.encoded
    settings = METHODS[method]
    rounds = Rounds(settings["points"], settings["noise"], seed, parts.run, z, y, parts.protocol)
    place = parts.place(method, seed)
    place.mkdir(parents=True, exist_ok=True)
    done: list[Values] = []
    for number in range(parts.protocol.rounds):
        path = place / f"round-{number}.json"
        if not path.exists():
            with replacing(path) as part:
                part.write_text(json.dumps(rounds.round(done)), "utf-8")
        done.append(json.loads(path.read_text("utf-8")))
    found = summed(done, parts.library.known, parts.protocol.decodes)
    return found | {"distance": rounds.distance(done)}
