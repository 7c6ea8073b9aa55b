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
    "cvvae": "constant-variance vae: vae with the head 'constant'",
    "wae": "Wasserstein autoencoder: distortion + weight * MMD between codes and prior",
    "rae": "regularised autoencoder: distortion + code penalty + decoder regulariser",
    "ae": "plain autoencoder: distortion only, or with squared decoder weights (--weight)",
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
    "bayesian": "a mixture that leaves the components empty which the codes do not need",
    "kde": "kernel density: a small Gaussian around each of many codes",
    "flow": "normalising flow: spline couplings that turn codes into normal noise",
    "two_stage": "second-stage VAE: a small VAE over the codes, with a learnt variance",
}

#: From the encoder's features to a distribution over codes.
HEADS: dict[str, str] = {
    "delta": "one code per molecule, no noise (rae, wae, ae)",
    "normal": "a normal distribution with a learnt variance for each molecule and dimension (vae)",
    "constant": "a normal distribution with one fixed variance (cvvae)",
}

#: From a code to a derivation.
DECODERS: dict[str, str] = {
    "autoregressive": "sees the code and the rules chosen so far",
    "feedforward": "sees the code only, at every step, as the Grammar VAE was published",
}

#: How a molecule becomes a sequence.
CODECS: dict[str, str] = {
    "grammar": "derivations of a grammar; under 'smiles' every decoded molecule is valid",
    "characters": "the characters of canonical SMILES; what comes out need not be valid",
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
    "moses": "the rules of the MOSES benchmark: MCF, PAINS, 8 elements, no charge, rings below 8",
}

#: What is said of a set of generated molecules; definitions as in MOSES (Polykovskiy 2020).
METRICS: dict[str, str] = {
    "validity": "share of draws that RDKit reads",
    "uniqueness": "share of the valid draws that are different molecules",
    "unique_1k": "the same among the first 1,000 valid draws",
    "unique_10k": "the same among the first 10,000 valid draws",
    "novelty": "share of the different molecules that are not in the training set",
    "intdiv1": "internal diversity: 1 - mean Tanimoto similarity within the set",
    "intdiv2": "the same with the root of the mean square",
    "filters": "share that keeps the MOSES rules: MCF, PAINS, elements, charges, ring sizes",
    "snn": "mean Tanimoto similarity to the nearest molecule of the reference",
    "frag": "cosine similarity to the reference in counts of BRICS fragments",
    "scaf": "cosine similarity to the reference in counts of Bemis-Murcko scaffolds",
    "fcd": "Fréchet ChemNet distance to the reference, 0 is best",
    "w1_logp": "Wasserstein-1 distance of logP to the reference, 0 is best",
    "w1_sa": "the same of synthetic accessibility",
    "w1_qed": "the same of QED",
    "w1_mw": "the same of molecular weight, g/mol",
    "w1_np": "the same of natural-product likeness",
    "mean_logp": "mean logP",
    "mean_sa": "mean synthetic accessibility",
    "mean_qed": "mean QED",
    "mean_mw": "mean molecular weight, g/mol",
    "mean_np": "mean natural-product likeness",
    "ring3": "share of molecules with a ring of 3 atoms",
    "ring4": "share of molecules with a ring of 4 atoms",
    "ring5": "share of molecules with a ring of 5 atoms",
    "ring6": "share of molecules with a ring of 6 atoms",
    "ring7": "share of molecules with a ring of 7 atoms",
    "ring8": "share of molecules with a ring of 8 atoms",
    "ring_larger": "share of molecules with a ring of more than 8 atoms",
    "strained": "share with a triple, cumulated or bridgehead double bond in a ring",
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
