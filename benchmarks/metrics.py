"""Do our metrics say what ``molsets`` (MOSES) and ``fcd_torch`` say of the same two files?

    python -m benchmarks.metrics                              # the shipped demo molecules
    python -m benchmarks.metrics --generated FILE --reference FILE --train FILE

Agreement is to three decimals, but for the share that passes the filters: there each molecule
that is judged differently is named, with the PAINS pattern that RDKit has corrected. What is not
installed is left out with a sentence:

    pip install fcd_torch matplotlib && pip install --no-deps molsets

molsets 0.3.1 was written for older libraries: three names that it uses and that are gone since
(``DataFrame.append``, ``numpy.NaN``, ``rdkit.six``) are given back before it is imported, and
nothing else. The time that our metrics take, all of them together, is measured too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from molae.chem.filters import why
from molae.datasets.readers import read
from molae.metrics.frechet import has_chemnet
from molae.metrics.profile import Profile
from molae.resources import data_path
from molae.workflows.evaluate import Yardstick

#: Half a unit of the third decimal.
TOLERANCE = 0.0005


def molecules(path: Path, column: str | None = None) -> list[str]:
    """The SMILES of a file."""
    with read(path, column, reject=lambda _bad: None) as reader:
        return [record.smiles for record in reader]


def demo(n: int) -> tuple[list[str], list[str], list[str]]:
    """Generated, reference and training set, all from the demo molecules, the first two unlike.

    The generated ones are the smaller half, with some twice and some broken, so that no metric is
    at the end of its scale.
    """
    with data_path("demo.smi.gz") as path:
        texts = molecules(path)
    order = np.random.default_rng(0).permutation(len(texts))
    mixed = [texts[row] for row in order]
    generated = sorted(mixed[: 2 * n], key=len)[:n]
    generated = [*generated, *generated[: n // 10], *(["C1CC", "CN(C)(C)(C)C"] * (n // 100))]
    return generated, mixed[2 * n : 3 * n], sorted(mixed[: 2 * n], key=len)[: n // 3]


def give_names_back() -> None:
    """What molsets imports or calls under names that its libraries have dropped."""
    import pandas as pd

    def append(self: pd.DataFrame, other: pd.DataFrame, sort: bool) -> pd.DataFrame:
        return pd.concat([self, other], sort=sort)

    frame: Any = pd.DataFrame
    frame.append = append
    np.NaN = np.nan  # type: ignore[attr-defined]
    six: Any = ModuleType("rdkit.six")
    six.iteritems = dict.items
    sys.modules.setdefault("rdkit.six", six)


def by_molsets(
    generated: Profile, reference: Profile, train: Sequence[str], drawn: Sequence[str]
) -> dict[str, float] | None:
    """What molsets computes, under our names; None where it is not installed."""
    if find_spec("moses") is None:
        print("molsets is not installed: its metrics are not compared with.")
        return None
    give_names_back()
    from moses.metrics import metrics as theirs
    from moses.utils import disable_rdkit_log, get_mol

    disable_rdkit_log()
    gen, ref = [[get_mol(text) for text in one.smiles] for one in (generated, reference)]
    found = {
        "validity": theirs.fraction_valid(list(drawn)),
        "uniqueness": theirs.fraction_unique(generated.smiles),
        "novelty": theirs.novelty(gen, train),
        "intdiv1": theirs.internal_diversity(gen),
        "intdiv2": theirs.internal_diversity(gen, p=2),
        "filters": theirs.fraction_passes_filters(gen),
        "snn": theirs.SNNMetric()(gen=gen, ref=ref),
        "frag": theirs.FragMetric()(gen=gen, ref=ref),
        "scaf": theirs.ScafMetric()(gen=gen, ref=ref),
    }
    for k, name in ((1000, "unique_1k"), (10_000, "unique_10k")):
        if len(gen) >= k:
            found[name] = theirs.fraction_unique(generated.smiles, k)
    for name, function in (
        ("logp", theirs.logP),
        ("sa", theirs.SA),
        ("qed", theirs.QED),
        ("mw", theirs.weight),
    ):
        found[f"w1_{name}"] = theirs.WassersteinMetric(function)(gen=gen, ref=ref)
    return {name: float(value) for name, value in found.items()}


def filters_one_by_one(*sets: Profile) -> dict[str, list[str]]:
    """Molecules that the rules of molsets and ours judge differently, and the PAINS behind it.

    RDKit has corrected 16 of the 480 PAINS patterns since molsets took its copy (of which the one
    for phenothiazines is met most). So there may be differences, but only with a PAINS pattern.

    Returns:
        SMILES -> patterns of molsets that it hits; "not PAINS" stands for any other difference.
    """
    from moses.metrics import mol_passes_filters
    from moses.metrics.utils import _filters, _mcf, _pains
    from rdkit import Chem

    names = ["not PAINS"] * len(_mcf) + [text[len("<regId=") : -1] for text in _pains["names"]]
    found = {}
    for text in sorted({text for one in sets for text in one.smiles}):
        if mol_passes_filters(text) != (why(text, "moses") is None):
            mol = Chem.AddHs(Chem.MolFromSmiles(text))
            pairs = zip(names, _filters, strict=True)
            hits = [name for name, pattern in pairs if mol.HasSubstructMatch(pattern)]
            found[text] = hits or [why(text, "pains") or "not PAINS"]
    return found


def by_fcd_torch(generated: Profile, reference: Profile) -> dict[str, float] | None:
    """What fcd_torch computes; None where it is not installed."""
    if not has_chemnet():
        print("fcd_torch is not installed: FCD is not compared with (pip install fcd_torch).")
        return None
    from fcd_torch import FCD

    return {"fcd": float(FCD()(ref=reference.smiles, gen=generated.smiles))}


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """A result, and the seconds it took."""
    began = time.perf_counter()
    return function(), round(time.perf_counter() - began, 1)


def differences(ours: dict[str, float | None], theirs: dict[str, float]) -> dict[str, Any]:
    """Both values of each metric, and by how much they differ."""
    table = {}
    for name, other in theirs.items():
        mine = ours[name]
        gap = abs((float("nan") if mine is None else mine) - other)
        table[name] = {"molae": mine, "other": other, "difference": gap, "agrees": gap < TOLERANCE}
        print(f"{name:12} {mine:12.5f} {other:12.5f} {'' if gap < TOLERANCE else '  DIFFERENT'}")
    return table


def given(options: argparse.Namespace) -> tuple[list[str], list[str], list[str]] | None:
    """Generated, reference and training set of the command line, None if it names only some."""
    files = (options.generated, options.reference, options.train)
    if not any(files):
        return demo(options.n)
    return (molecules(files[0]), molecules(files[1]), molecules(files[2])) if all(files) else None


def measure(
    drawn: Sequence[str], held: Sequence[str], train: Sequence[str], workers: int
) -> dict[str, Any]:
    """Our metrics and theirs, and the time that ours take."""

    def look() -> tuple[Yardstick, Profile]:
        ruler = Yardstick(held, train, workers=workers)
        return ruler, ruler.look(drawn, "generated")

    (ruler, found), looked = timed(look)
    compared, measured = timed(lambda: ruler.measure(found))
    values: dict[str, Any] = {
        "molecules": {"generated": len(drawn), "reference": len(held), "train": len(train)},
        "workers": workers,
        "seconds": {"look": looked, "measure": measured, "with_fcd": has_chemnet()},
        "tolerance": TOLERANCE,
    }
    print(values["seconds"])
    theirs = by_molsets(found, ruler.reference, sorted(ruler.train or ()), drawn)
    if theirs is not None:
        values["molsets"] = differences(compared.values, theirs)
        values["filters_differ"] = filters_one_by_one(found, ruler.reference)
        print("judged differently by the filters:", values["filters_differ"] or "none")
    fcd = by_fcd_torch(found, ruler.reference)
    if fcd is not None:
        values["fcd_torch"] = differences(compared.values, fcd)
    return values


def main() -> int:
    """Measure, print and store; 1 where something differs that is not explained."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("generated", "reference", "train"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument(
        "-n", type=int, default=3000, help="demo molecules, where no file is given"
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.workers)
    sets = given(options)
    if sets is None:
        parser.error("give all three of --generated, --reference and --train, or none")
    named = (options.generated, options.reference, options.train)
    values: dict[str, Any] = {"files": [file.name if file else "demo" for file in named]}
    values |= measure(*sets, options.workers)
    print(record("metrics", values))
    tables = values.get("molsets", {}) | values.get("fcd_torch", {})
    wrong = [name for name, row in tables.items() if not row["agrees"] and name != "filters"]
    odd: dict[str, list[str]] = values.get("filters_differ", {})
    wrong += [text for text, hits in odd.items() if "not PAINS" in hits]
    print("not explained:", wrong or "nothing")
    return int(bool(wrong))


if __name__ == "__main__":
    # Under its own name, which worker processes know.
    from benchmarks import metrics

    sys.exit(metrics.main())
