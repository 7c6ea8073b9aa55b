"""What is known of a run once it has been evaluated, as numbers, tables and definitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molae.metrics.latent import ACTIVE
from molae.metrics.reconstruction import interval
from molae.names import METRICS, REFINE
from molae.workflows.measures import DECODINGS, ENCODINGS, MASKS, POINTS, PRIOR_DECODINGS

#: What the row of molecules that the model learnt from is called.
DATA = "training data"
#: What the molecules are called that generated ones are compared with, and those whose codes are
#: looked at.
REFERENCE, HELD_OUT = "reference", "held out"

#: Numbers of the run as a whole, in the order in which they are shown.
OF_RUN: dict[str, str] = {
    "reconstruction": (
        "Exact reconstruction: share of held-out molecules whose code (the posterior mean), "
        "decoded greedily, gives the same canonical isomeric SMILES. What cannot be encoded "
        "counts as a miss."
    ),
    "refined_reconstruction": (
        f"The same with codes that were corrected, in {REFINE} steps at most, where the molecule "
        "did not come back from the encoder's own code: what molae encode gives."
    ),
    "not_encoded": "Share of the held-out molecules that grammar or length limit cannot express.",
    "stochastic_reconstruction": (
        f"Exact reconstruction with chance: each held-out molecule is encoded {ENCODINGS} times "
        f"(draws of q(z|x), as in Kusner et al. 2017) and each code decoded {DECODINGS} times "
        "(draws of p(x|z), as in Dai et al. 2018), without noise on codes; share of all these "
        "decodings that give the molecule back. What cannot be encoded counts as missed each "
        "time. A deterministic encoder gives the same code each time."
    ),
    "prior_validity": (
        "Validity as published: codes are drawn from the prior, N(0, I) unless another one was "
        f"trained with, each is decoded {PRIOR_DECODINGS} times (draws of p(x|z), with the masks "
        "that the run has and without noise on codes); share of all decodings that RDKit reads "
        "and sanitises."
    ),
    "dimensions": "D, the number of dimensions of a code.",
    "active_dimensions": (
        f"Dimensions in which the posterior mean has a variance above {ACTIVE} over the held-out "
        "molecules (Burda et al. 2016). Made for codes on the scale of N(0, I)."
    ),
    "effective_rank": (
        "Exponential of the entropy of the normalised eigenvalues of the covariance of the "
        "held-out molecules' codes (Roy and Vetterli 2007): D where they spread alike in all "
        "directions, 1 on a line; does not depend on their scale."
    ),
    "smoothness": (
        f"Mean Tanimoto similarity (Morgan, radius 2, 2,048 bits) of neighbours among {POINTS} "
        "points on the straight line between the codes of two held-out molecules, decoded "
        "greedily; neighbours that are no molecules count as 0."
    ),
    "pair_similarity": (
        "Mean Tanimoto similarity of the two held-out molecules at the ends of those lines, to "
        "compare smoothness with."
    ),
}

#: What is measured for each density beside what ``evaluate_molecules`` says of its molecules.
OF_DENSITY: dict[str, str] = {
    "validity_all_masks": (
        "Share of stochastic decodings (one draw of p(x|z) from each code, temperature 1) that "
        "RDKit reads, with all masks: stack, budget, free valences and ring bonds."
    ),
    "validity_grammar_masks": (
        "Share of stochastic decodings that RDKit reads, with the masks of the grammar only: "
        "stack and budget, as any grammar has them."
    ),
    "validity_no_masks": (
        "Share of stochastic decodings that RDKit reads, without masks: any rule at any step; "
        "what is no complete derivation is invalid."
    ),
    "drift": (
        "Mean distance of encode(decode(z)) from z, greedily decoded, over the mean distance of "
        "two codes of this density: 0 where codes stay, about 1 where they are forgotten."
    ),
    "fix_points": (
        "Share of codes whose decoded molecule, encoded and decoded again, is the same molecule."
    ),
    "held_out_nats": (
        "Mean log-density of the codes of held-out molecules, in nats: how well the density knows "
        "where codes lie. Only densities of one run can be compared by it."
    ),
    "molecules_per_second": (
        "Molecules written per second: codes drawn, decoded greedily and spelt, without RDKit's "
        "canonical form, on the device and machine of this evaluation."
    ),
}

#: What is said of a set of molecules, in the order and under the heads in which it is shown.
GROUPS: dict[str, tuple[str, ...]] = {
    "Validity": ("validity", *MASKS),
    "Variety": ("uniqueness", "unique_1k", "unique_10k", "novelty", "intdiv1", "intdiv2"),
    "Likeness to the reference": (
        "fcd",
        "snn",
        "frag",
        "scaf",
        *(name for name in METRICS if name.startswith("w1_")),
    ),
    "Properties": tuple(name for name in METRICS if name.startswith("mean_")),
    "Plausibility": (
        "filters",
        "strained",
        *(name for name in METRICS if name.startswith("ring")),
    ),
    "Codes": ("drift", "fix_points", "held_out_nats"),
    "Speed": ("molecules_per_second",),
}

#: Numbers that are shares of independent trials, for which an interval can be given.
_SHARES = (
    *("reconstruction", "refined_reconstruction", "not_encoded"),
    *("validity", "fix_points", *MASKS),
)

Numbers = dict[str, float | None]


def definitions() -> dict[str, str]:
    """What every number is, in sentences."""
    metrics = {name: f"{text[0].upper()}{text[1:]}." for name, text in METRICS.items()}
    return OF_RUN | metrics | OF_DENSITY


@dataclass
class Pictures:
    """What a report draws.

    Attributes:
        molecules: Of each density, and of the reference, some different ones, canonical SMILES.
        properties: Of each density, and of the reference, the values of each property.
        points: Codes on the two axes in which those of the held-out molecules spread most, (n, 2),
            of each density and of the held-out molecules.
        colours: The property of the molecule at each point, (n,).
        coloured_by: Which property that is.
        spread: Share of the variance of the held-out codes along each of the two axes.
        strips: Rows of ``interpolate`` between held-out molecules.
    """

    molecules: dict[str, list[str]] = field(default_factory=dict)
    properties: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    points: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    colours: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    coloured_by: str = "logp"
    spread: tuple[float, ...] = ()
    strips: list[list[dict[str, Any]]] = field(default_factory=list)


@dataclass
class Evaluation:
    """What ``evaluate_run`` found.

    Attributes:
        about: The run, seed, versions, date and where the held-out molecules are from.
        numbers: Of the run as a whole, by name; None is what could not be measured.
        densities: Of each density by name, in the order in which they are shown.
        data: The same of molecules that the model learnt from, as if they had been generated:
            what a perfect model would reach. Empty where they are not known.
        reference: The same of the reference itself, where that makes sense.
        sizes: On how many molecules, codes or lines a number was measured.
        spans: 95 % confidence intervals of numbers of the run, by name, but for shares.
        notes: Sentences on what is missing, doubtful, or promised.
        definitions: What each number is.
        pictures: For the report.
    """

    about: dict[str, Any]
    numbers: Numbers = field(default_factory=dict)
    densities: dict[str, Numbers] = field(default_factory=dict)
    data: Numbers = field(default_factory=dict)
    reference: Numbers = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    definitions: dict[str, str] = field(default_factory=dict)
    pictures: Pictures = field(default_factory=Pictures)

    def note(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def sets(self) -> dict[str, Numbers]:
        """Numbers of each density, and of the data where they are known, by name."""
        beside = {DATA: self.data, REFERENCE: self.reference}
        return self.densities | {name: numbers for name, numbers in beside.items() if numbers}

    def groups(self) -> dict[str, list[str]]:
        """Names of the numbers that some set of molecules has, by what they are about."""
        there = dict.fromkeys(name for row in self.sets().values() for name in row)
        found = {head: [name for name in names if name in there] for head, names in GROUPS.items()}
        grouped = {name for names in GROUPS.values() for name in names}
        found["Other"] = [name for name in there if name not in grouped]
        return {head: names for head, names in found.items() if names}

    def columns(self) -> list[str]:
        """Names of the numbers that some set of molecules has, in order."""
        return [name for names in self.groups().values() for name in names]

    def types(self) -> dict[str, type]:
        """Columns of ``rows``, and what each holds."""
        named: dict[str, type] = {"density": str, "n": int, "seed": int}
        return named | dict.fromkeys([*self.columns(), *self.numbers], float)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each set of molecules: its numbers, then those of the run; for tables.

        Numbers of the run stand in the rows of its densities only.
        """
        columns, rows = self.columns(), []
        for name, numbers in self.sets().items():
            row = {"density": name, "n": self.about["n"], "seed": self.about["seed"]}
            row |= {column: numbers.get(column) for column in columns}
            rows.append(row | (self.numbers if name in self.densities else {}))
        return rows

    def table(self) -> tuple[list[str], list[list[str | float | None]]]:
        """Head and rows for a screen: a number in each row, a set of molecules in each column."""
        sets = self.sets()
        rows: list[list[str | float | None]] = [
            [name, *(numbers.get(name) for numbers in sets.values())] for name in self.columns()
        ]
        return ["", *sets], rows

    def sure(self, name: str, value: float | None) -> tuple[float, float] | None:
        """The 95 % confidence interval of a number, where there is one."""
        if name in self.spans:
            return self.spans[name]
        count = self.sizes.get(name)
        if value is None or not count or name not in _SHARES:
            return None
        return interval(value, count)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON values."""
        intervals = {
            name: list(span)
            for name, value in self.numbers.items()
            if (span := self.sure(name, value)) is not None
        }
        return {
            **self.about,
            "numbers": self.numbers,
            "intervals_95": intervals,
            "densities": self.densities,
            "training_data": self.data or None,
            "reference": self.reference or None,
            "measured_on": self.sizes,
            "notes": self.notes,
            "definitions": self.definitions,
        }
