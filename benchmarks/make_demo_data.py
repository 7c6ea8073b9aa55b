"""Make data/demo.smi.gz: drug-like molecules built by recombining fragments of approved drugs.

    python -m benchmarks.make_demo_data --rows 30000 --seed 0

Every drug of ``approved_drugs.smi`` is cut at the bonds that BRICS names (Degen et al., "On the
art of compiling and using 'drug-like' chemical fragment spaces", ChemMedChem 2008). A candidate
grows from one fragment: at each open bond a fragment is attached whose link type BRICS allows
there, until a size drawn beforehand is reached; what is then still open is closed by fragments
with a single link, or by hydrogen where that leaves an ordinary group. Filters keep what a
medicinal chemist would call drug-like, and caps keep any one fragment or scaffold from filling
the set. (``BRICS.BRICSBuild`` enumerates instead: it is slow, and its first million products
share a handful of fragments.)

The file depends on the seed, the number of rows and the RDKit version, and on nothing else: not
on the number of processes, and not on the clock.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import itertools
import json
import math
import multiprocessing
import os
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import rdkit
from rdkit import Chem, RDLogger
from rdkit.Chem import BRICS, QED, Crippen, Descriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams
from rdkit.Chem.rdMolDescriptors import CalcMolFormula, CalcNumAtomStereoCenters
from rdkit.Chem.Scaffolds import MurckoScaffold
from rdkit.Contrib.SA_Score import sascorer

ROOT = Path(__file__).resolve().parent.parent
DRUGS = ROOT / "benchmarks" / "approved_drugs.smi"
OUTPUT = ROOT / "data" / "demo.smi.gz"

CHUNK = 400  # accepted by one task before it returns; a task is one random stream
CAPPABLE = frozenset({3, 4, 5, 8, 9, 10, 13, 14, 15, 16})  # not 1, 6: aldehydes; not 11: thiols
CAP_PROBABILITY = 0.2
HEAVY_ATOMS = (17, 36)
WEIGHT = (200.0, 480.0)
LOGP = (-1.0, 5.0)
MIN_QED = 0.5
MAX_SA = 4.2
MAX_STEREO_CENTRES = 4
# What BRICS may join and BRENK does not catch.
UNWANTED = {
    "acyclic N-N or N-O or O-O single bond": "[N,O;!R]-&!@[N,O;!$(N(=O)~O);!$([O-])]",
    "acetal or aminal, not wholly in a ring": "[#7,#8,#16]-&!@[CX4][#7,#8,#16]",
    "trifluoromethyl on nitrogen or in an ester": "[$([#7]),$(OC=O)]C(F)(F)F",
    "imide, not wholly in a ring": "[#6]C(=O)!@[NX3]C(=O)",
    "electron-rich aminopyrrole or alkoxyfuran": (
        "[NX3,OX2;!$(*C=[O,S,N]);!$(*S(=O)=O)]c1[nX3,o]ccc1"
    ),
    "three aryl groups on one carbon": "C(c)(c)c",
    "carboxylic acid twice": "C(=O)[OH].C(=O)[OH]",
    "carbamic acid": "[N,O]C(=O)[OH]",
    "hydroxyl on nitrogen-bearing or oxygen-bearing carbon": "[OH][CX4][N,O,S]",
    "enol or enamine in a chain": "[OH,NX3;!R]-&!@[C;!R]=[C;!R]",
    "sulphonyl twice": "S(=O)(=O)N!@S(=O)=O",
    "sulphonyl carbonyl carbon": "[#6]S(=O)(=O)C(=O)",
    "anhydride": "C(=O)!@O!@C(=O)",
    "aryl ester": "c!@O!@C(=O)[#6]",
}


@dataclass(frozen=True)
class Fragment:
    """A piece of a drug: its molecule, and one (atom, BRICS link type) for each open bond."""

    smiles: str
    molecule: Chem.Mol
    links: tuple[tuple[int, int], ...]
    heavy: int
    weight: float
    cap: float  # the largest share of rows in which it may occur


@dataclass(frozen=True)
class Candidate:
    """A molecule that passed the filters, with what the caps look at and what is reported."""

    smiles: str
    fragments: tuple[str, ...]
    scaffold: str
    values: tuple[float, float, float, float]  # QED, SA, weight, logP


def read_drugs(path: Path = DRUGS) -> list[tuple[str, Chem.Mol]]:
    """(name, molecule) of each line ``SMILES <tab> name <tab> formula``.

    Raises:
        ValueError: where a structure does not parse or is not of the formula beside it. The
            formula was written down apart from the structure, so it catches slips.
    """
    drugs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        smiles, name, formula = line.split("\t")
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise ValueError(f"{path.name}:{number}: {name} is not a molecule: {smiles}")
        found = CalcMolFormula(molecule)
        if found != formula:
            raise ValueError(f"{path.name}:{number}: {name} is {found}, expected {formula}")
        drugs.append((name, molecule))
    return drugs


@cache
def fragments() -> tuple[Fragment, ...]:
    """All BRICS fragments with at least one open bond, in a fixed order."""
    counts: Counter[str] = Counter()
    for _, drug in read_drugs():
        counts.update(BRICS.BRICSDecompose(drug))
    found = []
    for smiles in sorted(counts):
        molecule = Chem.MolFromSmiles(smiles)
        links = tuple(
            (a.GetIdx(), a.GetIsotope()) for a in molecule.GetAtoms() if a.GetAtomicNum() == 0
        )
        heavy = molecule.GetNumAtoms() - len(links)
        if not links or heavy > HEAVY_ATOMS[1] // 2 or any(kind == 7 for _, kind in links):
            continue  # 7 is the double bond of olefins, which would need a geometry
        rings = molecule.GetRingInfo().NumRings()
        share = 1.0 if rings == 0 else 0.06 if heavy <= 6 else 0.025 if heavy <= 9 else 0.012
        # The square root evens the rings out. Linkers keep the frequency they have in drugs and
        # more, or the sheer number of ring fragments would join most rings to each other.
        linker = 4.0 if len(links) > 1 else 1.0
        weight = math.sqrt(counts[smiles]) if rings else counts[smiles] * linker
        found.append(Fragment(smiles, molecule, links, heavy, weight, share))
    return tuple(found)


@cache
def partners() -> dict[int, tuple[tuple[int, int], ...]]:
    """Link type -> the (fragment, link) that BRICS allows to be attached there."""
    allowed = defaultdict(set)
    for left, right, order in itertools.chain.from_iterable(BRICS.reactionDefs):
        if order == "-":
            allowed[int(left)].add(int(right))
            allowed[int(right)].add(int(left))
    return {
        kind: tuple(
            (f, i)
            for f, fragment in enumerate(fragments())
            for i, (_, other) in enumerate(fragment.links)
            if other in others
        )
        for kind, others in allowed.items()
    }


@cache
def _choices(kind: int, closing: bool) -> tuple[list[tuple[int, int]], list[float]]:
    """What may be attached at a link of this type, with cumulative weights."""
    pieces = fragments()
    pairs = [
        (f, i) for f, i in partners()[kind] if (len(pieces[f].links) == 1) or not closing
    ]
    weights = [pieces[f].weight / len(pieces[f].links) for f, _ in pairs]
    return pairs, list(itertools.accumulate(weights))


def grow(rng: random.Random) -> tuple[Chem.Mol, list[str]] | None:
    """One candidate and the fragments in it; None where it outgrew the limits."""
    pieces = fragments()
    target = min(max(rng.gauss(28.5, 4.0), HEAVY_ATOMS[0]), HEAVY_ATOMS[1])
    first = rng.choices(range(len(pieces)), [p.weight * (p.heavy > 4) for p in pieces])[0]
    used = [first]
    heavy = pieces[first].heavy
    waiting = [(0, i) for i in range(len(pieces[first].links))]
    bonds: list[tuple[tuple[int, int], tuple[int, int]]] = []
    capped: list[tuple[int, int]] = []
    while waiting:
        place = waiting.pop(rng.randrange(len(waiting)))
        kind = pieces[used[place[0]]].links[place[1]][1]
        closing = heavy + 3 * len(waiting) >= target - 4
        if kind in CAPPABLE and rng.random() < (0.8 if heavy >= target else CAP_PROBABILITY):
            capped.append(place)
            continue
        pairs, weights = _choices(kind, closing)
        if not pairs:
            return None
        piece, link = rng.choices(pairs, cum_weights=weights)[0]
        used.append(piece)
        heavy += pieces[piece].heavy
        if heavy > HEAVY_ATOMS[1]:
            return None
        bonds.append((place, (len(used) - 1, link)))
        waiting += [(len(used) - 1, i) for i in range(len(pieces[piece].links)) if i != link]
    return _join([pieces[p] for p in used], bonds, capped), [pieces[p].smiles for p in used]


def _join(
    pieces: list[Fragment],
    bonds: list[tuple[tuple[int, int], tuple[int, int]]],
    capped: list[tuple[int, int]],
) -> Chem.Mol:
    """One molecule of the pieces: bonds between the given links, hydrogen at the capped ones."""
    copies = [Chem.RWMol(p.molecule) for p in pieces]

    def link(place: tuple[int, int]) -> Chem.Atom:
        atom = copies[place[0]].GetAtomWithIdx(pieces[place[0]].links[place[1]][0])
        atom.SetIsotope(0)
        return atom

    for number, pair in enumerate(bonds, start=1):
        for place in pair:
            link(place).SetAtomMapNum(number)
    for place in capped:
        link(place).SetAtomicNum(1)
    whole = copies[0].GetMol()
    for copy in copies[1:]:
        whole = Chem.CombineMols(whole, copy)
    return Chem.RemoveHs(Chem.molzip(whole))  # molzip keeps the handedness of centres


@cache
def _unwanted() -> tuple[Chem.Mol, ...]:
    return tuple(Chem.MolFromSmarts(pattern) for pattern in UNWANTED.values())


@cache
def _catalogue() -> FilterCatalog:
    parameters = FilterCatalogParams()
    parameters.AddCatalog(FilterCatalogParams.FilterCatalogs.PAINS)
    parameters.AddCatalog(FilterCatalogParams.FilterCatalogs.BRENK)
    return FilterCatalog(parameters)


def _plain(molecule: Chem.Mol) -> bool:
    """The cheap filters: size, rings, charges, stereo centres, unwanted groups."""
    rings = molecule.GetRingInfo().AtomRings()
    return (
        HEAVY_ATOMS[0] <= molecule.GetNumHeavyAtoms() <= HEAVY_ATOMS[1]
        and 1 <= len(rings) <= 5
        and max(map(len, rings)) <= 8
        and all(atom.GetFormalCharge() == 0 for atom in molecule.GetAtoms())
        and CalcNumAtomStereoCenters(molecule) <= MAX_STEREO_CENTRES
        and not any(molecule.HasSubstructMatch(pattern) for pattern in _unwanted())
    )


def judge(molecule: Chem.Mol) -> tuple[float, float, float, float] | None:
    """(QED, SA, weight, logP) of a molecule that passes every filter, else None."""
    if not _plain(molecule):
        return None
    weight, logp = Descriptors.MolWt(molecule), Crippen.MolLogP(molecule)
    if not (WEIGHT[0] <= weight <= WEIGHT[1] and LOGP[0] <= logp <= LOGP[1]):
        return None
    qed = QED.qed(molecule)
    if qed < MIN_QED or _catalogue().HasMatch(molecule):
        return None
    sa = sascorer.calculateScore(molecule)
    return (qed, sa, weight, logp) if sa <= MAX_SA else None


def task(key: tuple[int, int]) -> list[Candidate]:
    """The accepted candidates of one random stream, named by (seed, number)."""
    RDLogger.DisableLog("rdApp.*")
    rng = random.Random(f"{key[0]}/{key[1]}")
    kept: list[Candidate] = []
    while len(kept) < CHUNK:
        grown = grow(rng)
        if grown is None:
            continue
        # From the text, so that what is judged is exactly what a reader of the file will see.
        smiles = Chem.MolToSmiles(grown[0])
        molecule = Chem.MolFromSmiles(smiles)
        values = None if molecule is None else judge(molecule)
        if molecule is None or values is None:
            continue
        smiles = Chem.MolToSmiles(molecule)
        scaffold = MurckoScaffold.MurckoScaffoldSmiles(mol=molecule)
        kept.append(Candidate(smiles, tuple(grown[1]), scaffold, values))
    return kept


def select(stream: Iterator[Candidate], rows: int) -> Iterator[Candidate]:
    """The first ``rows`` candidates that are new and go over no cap."""
    seen = {Chem.MolToSmiles(drug) for _, drug in read_drugs()}
    limits = {p.smiles: max(1, round(p.cap * rows)) for p in fragments()}
    by_fragment: Counter[str] = Counter()
    by_scaffold: Counter[str] = Counter()
    taken = 0
    for candidate in stream:
        inside = set(candidate.fragments)
        if (
            candidate.smiles in seen
            or by_scaffold[candidate.scaffold] >= max(1, rows // 400)
            or any(by_fragment[f] >= limits[f] for f in inside)
        ):
            continue
        seen.add(candidate.smiles)
        by_scaffold[candidate.scaffold] += 1
        by_fragment.update(inside)
        yield candidate
        taken += 1
        if taken == rows:
            return


def make(rows: int, seed: int, processes: int) -> list[Candidate]:
    """``rows`` molecules; the same for any number of processes."""
    keys = ((seed, number) for number in range(4 * rows // CHUNK + 50))
    begin = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        chosen: list[Candidate] = []
        stream = itertools.chain.from_iterable(pool.imap(task, keys))
        for candidate in select(stream, rows):
            chosen.append(candidate)
            if len(chosen) % 2000 == 0:
                seconds = time.perf_counter() - begin
                print(f"{len(chosen):6d} molecules, {seconds:.0f} s", flush=True)
        pool.terminate()
    return chosen


def write(chosen: list[Candidate], path: Path, seed: int) -> None:
    """The SMILES, gzipped with no date or name inside, and the card beside them."""
    text = "".join(f"{c.smiles}\n" for c in chosen).encode("ascii")
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=9) as file:
        file.write(text)
    path.write_bytes(packed.getvalue())
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    card = {
        "name": "demo",
        "description": (
            f"{len(chosen):,} drug-like molecules, made by recombining BRICS fragments of "
            f"{len(read_drugs())} approved drugs and filtering by QED, synthetic accessibility, "
            "weight, logP, ring size and the PAINS and BRENK catalogues."
        ),
        "files": [[{"file": path.name, "sha256": digest, "bytes": path.stat().st_size}]],
        "rows": len(chosen),
        "licence": "MIT",
        "citation": (
            "J. Degen, C. Wegscheid-Gerlach, A. Zaliani, M. Rarey. On the art of compiling and "
            "using 'drug-like' chemical fragment spaces. ChemMedChem 3 (2008) 1503-1507."
        ),
        "format": "smi",
        "column": None,
        "script": "benchmarks/make_demo_data.py",
        "command": f"python -m benchmarks.make_demo_data --rows {len(chosen)} --seed {seed}",
        "seed": seed,
        "rdkit": rdkit.__version__,
        "notes": (
            f"The text inside has sha256 {hashlib.sha256(text).hexdigest()}; another build of "
            "zlib may pack the same text into other bytes. Made molecules: none was taken from "
            "a database, and none is one of the drugs."
        ),
    }
    card_path = path.with_name(path.name.removesuffix(".smi.gz") + ".json")
    card_path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes, sha256 {digest}")


def report(chosen: list[Candidate]) -> None:
    """Print how the set compares with ZINC250k, and what occurs most often in it."""
    for name, zinc, column in zip(
        ("QED", "SA", "weight", "logP"),
        (0.73, 3.05, 332.0, 2.46),
        zip(*(c.values for c in chosen), strict=True),
        strict=True,
    ):
        print(
            f"{name:7s} mean {statistics.mean(column):7.2f}  deviation "
            f"{statistics.pstdev(column):6.2f}  (ZINC250k mean {zinc})"
        )
    scaffolds = {c.scaffold for c in chosen}
    print(f"{len(scaffolds):,} scaffolds")
    counts = Counter(f for c in chosen for f in set(c.fragments))
    for fragment, count in counts.most_common(12):
        print(f"{count / len(chosen):6.1%}  {fragment}")


def main() -> None:
    """Read the command line, make, write, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    chosen = make(options.rows, options.seed, options.processes)
    write(chosen, options.output, options.seed)
    report(chosen)


if __name__ == "__main__":
    main()
