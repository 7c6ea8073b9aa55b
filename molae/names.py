"""The names that people type, each with one line of help.

Plain strings and nothing to import, so that ``--help``, error messages and documentation use the
same words at no cost. The rooms above bind the names to classes and functions, and a test of each
room holds its own table against the one here.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

#: What is minimised.
OBJECTIVES: dict[str, str] = {
    "vae": "variational autoencoder: distortion + beta * rate",
    "rae": "regularised autoencoder: distortion + code penalty + decoder regulariser",
    "ae": "plain autoencoder: distortion only",
}

#: How a regularised autoencoder keeps its decoder smooth.
REGULARIZERS: dict[str, str] = {
    "none": "only the penalty on the code",
    "l2": "squared weights of the decoder",
    "gp": "squared gradient of the decoder's output with respect to the code",
    "sn": "spectral norm of the decoder's layers held at one",
}

#: What codes are drawn from.
DENSITIES: dict[str, str] = {
    "prior": "the standard normal distribution",
    "gaussian": "one Gaussian with full covariance, fitted to the codes of the training data",
    "gmm": "a mixture of Gaussians with full covariance, fitted to the codes of the training data",
}

#: From the encoder's features to a distribution over codes.
HEADS: dict[str, str] = {
    "delta": "one code per molecule, no noise (rae, ae)",
    "normal": "a normal distribution with a learnt variance for each molecule and dimension (vae)",
    "constant": "a normal distribution with one fixed variance (constant-variance vae)",
}

#: From a code to a derivation.
DECODERS: dict[str, str] = {
    "autoregressive": "sees the code and the rules chosen so far",
    "feedforward": "sees the code only, at every step, as the Grammar VAE was published",
}

#: Grammars that ship with the package.
GRAMMARS: dict[str, str] = {
    "smiles": "any molecule as Kekulé SMILES, in Greibach form; every decoded molecule is valid",
    "zinc": "the 76 rules for ZINC of the Grammar VAE paper, aromatic SMILES, no promise",
    "equation": "the arithmetic expressions of the Grammar VAE paper",
}

#: Numbers computed from a molecule.
PROPERTIES: dict[str, str] = {
    "qed": "quantitative estimate of drug-likeness, 0 to 1",
    "logp": "octanol-water partition coefficient, Crippen's estimate",
    "sa": "synthetic accessibility, 1 (easy) to 10 (hard)",
    "np": "natural-product likeness, about -5 (synthetic) to 5 (natural)",
    "mw": "molecular weight, g/mol",
    "tpsa": "topological polar surface area, square angstrom",
    "hbd": "hydrogen-bond donors",
    "hba": "hydrogen-bond acceptors",
    "rotatable_bonds": "rotatable bonds",
    "rings": "rings (smallest set of smallest rings)",
    "aromatic_rings": "aromatic rings",
    "largest_ring": "atoms in the largest ring, 0 without rings",
    "heavy_atoms": "atoms other than hydrogen",
    "fsp3": "share of carbons that are sp3, 0 to 1",
    "charge": "formal charge of the whole molecule",
    "stereocentres": "tetrahedral stereocentres, specified or not",
    "plogp": "penalised logP: logp - sa - long cycles, standardised as by GCPN and TDC",
    "plogp_b": "penalised logP, standardised as in weighted retraining and LOL-BO",
}

#: What a plausible molecule should not contain.
FILTERS: dict[str, str] = {
    "pains": "no pan-assay interference patterns (Baell and Holloway 2010)",
    "brenk": "no reactive, toxic or unstable groups (Brenk 2008)",
    "nih": "no groups that the NIH screening library excludes (Jadhav 2010, Doveston 2015)",
    "zinc": "no groups that the ZINC data base excludes",
    "rings": "no ring above 8 atoms, no triple, cumulated or bridgehead double bond in a ring",
}


def closest(name: str, names: Mapping[str, object]) -> str:
    """A half sentence that helps after a typing error: the closest names, or all of them."""
    near = get_close_matches(name.lower(), list(names), n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(word) for word in near) + "?"
    return "choose from " + ", ".join(names)


def pick(table: Mapping[str, object], name: str, kind: str) -> str:
    """The name itself if the table has it.

    Args:
        table: One of the tables above.
        name: What was typed.
        kind: What the table holds, for the message, such as "objective".

    Raises:
        ValueError: If it has not, with the closest names.
    """
    if name in table:
        return name
    raise ValueError(f"unknown {kind} {name!r}: {closest(name, table)}")
