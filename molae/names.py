"""The names that people type, each with one line of help.

Plain strings and nothing to import, so that ``--help``, error messages and documentation use the
same words at no cost. The rooms above bind the names to classes and functions, and a test of each
room holds its own table against the one here.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

#: Steps that a code is corrected in at most, where it does not give back what was encoded.
REFINE = 20

#: What is minimised.
OBJECTIVES: dict[str, str] = {
    "vae": "variational autoencoder: distortion + beta * rate",
    "cvvae": "constant-variance vae: vae with the head 'constant'",
    "iwae": "importance-weighted autoencoder: a tighter bound from several codes (samples)",
    "wae": "Wasserstein autoencoder: distortion + weight * MMD between codes and prior",
    "rae": "regularised autoencoder: distortion + code penalty + decoder regulariser",
    "vqvae": "vector-quantised autoencoder: distortion only, codes from a codebook (head 'vq')",
    "dae": "denoising autoencoder: distortion of clean data, from codes of corrupted data",
    "cae": "contractive autoencoder: distortion + weight * squared slope of the encoder",
    "vcae": "variance-constrained autoencoder: distortion, and codes with a given spread",
    "strkm": "Stiefel-restricted kernel machine: distortion + a PCA of features (head 'stiefel')",
    "ae": "plain autoencoder: distortion only, or with squared decoder weights (--weight)",
    "aae": "adversarial autoencoder: a critic holds the codes to the prior (WAE-GAN)",
    "avb": "adversarial variational Bayes: a critic estimates the rate of any posterior",
    "ali": "adversarially learned inference (BiGAN): a critic of pairs (x, z), no distortion",
    "iae": "implicit autoencoder: critics of reconstructions and of codes, no distortion",
    "geco": "constrained vae: the lowest rate that keeps a constraint on reconstructions (GECO)",
}

#: What ``geco`` holds a model to; each with what its tolerance is.
CONSTRAINTS: dict[str, str] = {
    "re": "root mean squared error of images at most the tolerance (0.1 of pixels from 0 to 1)",
    "fre": "the same of features: local means and deviations, or a classifier's (--features)",
    "cla": "a classifier finds the right class in images, with at least this probability (0.9)",
    "pncc": "patches of images correlate by at least the tolerance (0.9)",
    "nats": "-log p per rule of sequences at most the tolerance (0.1)",
    "exact": "share of sequences that come back exactly at least the tolerance (0.9)",
}

#: What a denoising autoencoder does to the data that it is shown.
CORRUPTIONS: dict[str, str] = {
    "masking": "a share of the values is set to 0; of the entries of sequences, to any other",
    "gaussian": "normal noise with a given standard deviation, on images",
}

#: What a contractive autoencoder holds still.
CONTRACTIONS: dict[str, str] = {
    "encoder": "the code (Rifai 2011)",
    "reconstruction": "what is decoded from the code (Alain and Bengio 2014)",
}

#: Markov chains from one example to the next.
CHAINS: dict[str, str] = {
    "bengio": "corrupt, encode, draw from the decoder (of dae; Bengio 2013)",
    "rifai": "move the code by J J^T noise, decode (of cae, on images; Rifai 2012)",
}

#: How a regularised autoencoder keeps its decoder smooth.
REGULARIZERS: dict[str, str] = {
    "none": "only the penalty on the code",
    "l2": "squared weights of the decoder",
    "gp": "squared gradient of the decoder's output with respect to the code",
    "sn": "spectral norm of the decoder's layers held at one (of images: the encoder's too)",
}

#: What codes are drawn from.
DENSITIES: dict[str, str] = {
    "prior": "the standard normal distribution, N(0, I)",
    "centred": "one Gaussian around the origin with the covariance of the codes, N(0, Sigma)",
    "gaussian": "one Gaussian with full covariance, fitted to the codes of the training data",
    "gmm": "a mixture of Gaussians with full covariance, fitted to the codes of the training data",
    "bayesian": "a mixture that leaves the components empty which the codes do not need",
    "kde": "kernel density: a small Gaussian around each of many codes",
    "flow": "normalising flow: spline couplings that turn codes into normal noise",
    "learned_mixture": "normal distributions learnt by gradient, with a model or from codes",
    "autoregressive": "one dimension after the other, each a mixture given those before (MADE)",
    "vamp": "VampPrior: the posteriors of learnt pseudo-images, only with a model (--prior)",
    "indices": "one entry of the codebook after the other (head 'vq'): masses, not densities",
    "two_stage": "second-stage VAE: a small VAE over the codes, with a learnt variance",
    "mixture": "a fixed ring of Gaussians in two dimensions: a prior for aae",
    "swiss_roll": "a fixed spiral in two dimensions: a prior for aae",
    "conditional": "a normal distribution that depends on the condition, only with a model",
    "clusters": "one of K clusters, and a normal style beside it: a prior for aae and iae",
}

#: Densities that are fitted to nothing: of codes they learn how many numbers these have.
FIXED_DENSITIES = ("prior", "mixture", "swiss_roll", "clusters")

#: Densities that are fitted to codes after training. The others are fixed, or only learnt with a
#: model.
FITTED_DENSITIES = tuple(
    name for name in DENSITIES if name not in (*FIXED_DENSITIES, "vamp", "conditional")
)

#: From the encoder's features to a distribution over codes.
HEADS: dict[str, str] = {
    "delta": "one code per molecule, no noise (rae, wae, ae)",
    "stiefel": "a projection of features on orthonormal axes, no noise (strkm)",
    "vq": "a code put together from the entries of a codebook, no noise (vqvae)",
    "normal": "a normal distribution with a learnt variance for each molecule and dimension (vae)",
    "constant": "a normal distribution with one fixed variance (cvvae)",
    "nvp": "a normal distribution bent by affine couplings that are told of x (RealNVP)",
    "iaf": "inverse autoregressive flow: fast draws, slow densities of other codes",
    "maf": "masked autoregressive flow: fast densities, slow draws",
    "planar": "planar flow: many small bends of a normal distribution",
    "implicit": "any distribution: a net turns features and noise into codes (avb, iae, aae)",
}

#: Heads without a density over codes; every other has one.
WITHOUT_DENSITY = ("delta", "stiefel", "vq", "implicit")

#: From a sequence or an image to features.
ENCODERS: dict[str, str] = {
    "recurrent": "a recurrent net (GRU) over the sequence",
    "convolutional": "convolutions over the sequence, as the Grammar VAE was published",
    "image": "convolutions over an image of any size, small enough for a processor",
    "image_mnist": "the RAE paper's net for MNIST and CIFAR-10, 32 x 32 pixels",
    "image_celeba": "the RAE paper's net for CelebA, 64 x 64 pixels",
    "convdraw": "an image in several steps, a code for each (ConvDRAW); brings its decoder",
}

#: From a code to a derivation or an image.
DECODERS: dict[str, str] = {
    "autoregressive": "sees the code and the rules chosen so far",
    "feedforward": "sees the code only, at every step, as the Grammar VAE was published",
    "image": "an image of any size from the code, small enough for a processor",
    "image_mnist": "the RAE paper's net for MNIST and CIFAR-10, 32 x 32 pixels",
    "image_celeba": "the RAE paper's net for CelebA, 64 x 64 pixels",
    "pixelcnn": "an image, one pixel after the other, from the code and all before (PixelVAE)",
    "convdraw": "an image in several steps, a code for each (ConvDRAW); brings its encoder",
}

#: How the values of an image lie around what its decoder puts out.
LIKELIHOODS: dict[str, str] = {
    "gaussian": "normal with a fixed sigma; at the usual one -log p is the squared error, summed",
    "learned": "normal with one sigma that is learnt",
    "optimal": "normal with the sigma that is best for the batch, the root mean squared error",
    "bernoulli": "cross-entropy of values between 0 and 1",
    "quantised": "normal, with noise of one bin on the 8-bit values",
    "discretised": "probability of the exact 8-bit value under a normal distribution",
}

#: What a model of images may be told beside the code.
CONDITIONS: dict[str, str] = {
    "label": "the class of an image, one of those of the data",
    "context": "the array 'context' of an .npz file: other images, or numbers",
}

#: What may be made of images of digits with their labels.
TRANSFORMS: dict[str, str] = {
    "triplets": "three digits side by side, the third the sum of the others modulo 10",
    "sum": "a digit that is the sum of two others modulo 10, which are its context",
    "rotate": "a digit turned by 36 degrees times the label of another; context: that and a twin",
    "colour": "each digit in one random colour on another",
}

#: How images are cut before they are brought to their size.
CROPS: dict[str, str] = {
    "celeba": "the middle 140 x 140 pixels, then 64 x 64, as the RAE paper does with CelebA",
}

#: Forms of the gradient penalty (regulariser 'gp').
GRADIENTS: dict[str, str] = {
    "squared": "gradient of the squared output, as in the RAE authors' code",
    "jacobian": "squared Frobenius norm of the Jacobian, as the RAE paper writes it",
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

#: Terms of a formula that compare a molecule with what stands in quotation marks.
REFERENCES: dict[str, str] = {
    "similarity": 'similarity("CCO"): Tanimoto similarity to a molecule, Morgan counts, 0 to 1',
    "smarts": 'smarts("[#7]"): how often a SMARTS pattern occurs',
    "isomer": 'isomer("C11H24"): how close the molecular formula is, 0 to 1 (GuacaMol)',
}

#: Functions of a formula, beside + - * / ** and brackets.
FUNCTIONS: dict[str, str] = {
    "min": "min(a, b, ...): the smallest",
    "max": "max(a, b, ...): the largest",
    "exp": "exp(x): e to the power of x",
    "log": "log(x): natural logarithm",
    "sqrt": "sqrt(x): square root",
    "abs": "abs(x): x without its sign",
    "clip": "clip(x, lowest, highest): x, or the bound that it crosses",
    "gauss": "gauss(x, mean, sd): exp(-((x - mean) / sd)**2 / 2), 1 where x is the mean",
}

#: Oracles that score something else than molecules.
ORACLES: dict[str, str] = {
    "equation": 'how near an expression in x comes to equation("1/3 + x + sin(x*x)"), the default',
    "images:ink": "mean brightness of an image, 0 to 1",
    "images:class": "images:class=7: how likely an image is a 7, for the shipped classifier",
    "images:similar": "images:similar=A.png: negative mean squared error to an image",
}

#: Tasks of GuacaMol (Brown 2019, second suite) and of the PMO benchmark (Gao 2022), each a score
#: from 0 to 1.
TASKS: dict[str, str] = {
    "celecoxib_rediscovery": "ECFP4 similarity to celecoxib",
    "troglitazone_rediscovery": "ECFP4 similarity to troglitazone",
    "thiothixene_rediscovery": "ECFP4 similarity to thiothixene",
    "aripiprazole_similarity": "ECFP4 similarity to aripiprazole, 0.75 is enough",
    "albuterol_similarity": "FCFP4 similarity to albuterol, 0.75 is enough",
    "mestranol_similarity": "atom-pair similarity to mestranol, 0.75 is enough",
    "isomers_c11h24": "nearness to the formula C11H24, of 159 isomers",
    "isomers_c9h10n2o2pf2cl": "nearness to the formula C9H10N2O2PF2Cl",
    "isomers_c7h8n2o2": "nearness to the formula C7H8N2O2 (PMO; not in GuacaMol's 20)",
    "median1": "ECFP4 similarity to both camphor and menthol",
    "median2": "ECFP6 similarity to both tadalafil and sildenafil",
    "osimertinib_mpo": "like osimertinib but not the same, TPSA above 100, logP below 1",
    "fexofenadine_mpo": "like fexofenadine, TPSA above 90, logP below 4",
    "ranolazine_mpo": "like ranolazine, logP above 7, TPSA above 95, one fluorine",
    "perindopril_mpo": "like perindopril, with two aromatic rings",
    "amlodipine_mpo": "like amlodipine, with three rings",
    "sitagliptin_mpo": "unlike sitagliptin, but of its formula, logP and TPSA",
    "zaleplon_mpo": "like zaleplon, but of the formula C19H17N3O2",
    "valsartan_smarts": "a part of valsartan, with logP, TPSA and Bertz index of sitagliptin",
    "deco_hop": "keep the quinazoline scaffold, change its decoration",
    "scaffold_hop": "keep the decoration of a quinazoline, change its scaffold",
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
    "unique_1k": "share of the first 1,000 valid draws that are different molecules",
    "unique_10k": "share of the first 10,000 valid draws that are different molecules",
    "novelty": "share of the different molecules that are not in the training set",
    "intdiv1": "internal diversity: 1 - mean Tanimoto similarity within the set",
    "intdiv2": "internal diversity: 1 - root mean square Tanimoto similarity within the set",
    "filters": "share that keeps the MOSES rules: MCF, PAINS, elements, charges, ring sizes",
    "snn": "mean Tanimoto similarity to the nearest molecule of the reference",
    "frag": "cosine similarity to the reference in counts of BRICS fragments",
    "scaf": "cosine similarity to the reference in counts of Bemis-Murcko scaffolds, two rings up",
    "fcd": "Fréchet ChemNet distance to the reference, 0 is best",
    "w1_logp": "Wasserstein-1 distance of logP to the reference, 0 is best",
    "w1_sa": "Wasserstein-1 distance of synthetic accessibility to the reference, 0 is best",
    "w1_qed": "Wasserstein-1 distance of QED to the reference, 0 is best",
    "w1_mw": "Wasserstein-1 distance of molecular weight to the reference, g/mol, 0 is best",
    "w1_np": "Wasserstein-1 distance of natural-product likeness to the reference, 0 is best",
    "mean_logp": "mean logP",
    "mean_sa": "mean synthetic accessibility, 1 (easy) to 10 (hard)",
    "mean_qed": "mean QED",
    "mean_mw": "mean molecular weight, g/mol",
    "mean_np": "mean natural-product likeness, about -5 (synthetic) to 5 (natural)",
    "ring3": "share of molecules with a ring of 3 atoms",
    "ring4": "share of molecules with a ring of 4 atoms",
    "ring5": "share of molecules with a ring of 5 atoms",
    "ring6": "share of molecules with a ring of 6 atoms",
    "ring7": "share of molecules with a ring of 7 atoms",
    "ring8": "share of molecules with a ring of 8 atoms",
    "ring_larger": "share of molecules with a ring of more than 8 atoms",
    "strained": "share of molecules with a triple, cumulated or bridgehead double bond in a ring",
}

#: Where sets of images are compared: what turns an image into features.
FEATURES: dict[str, str] = {
    "classifier": "64 features of a small net that learnt handwritten digits, shipped",
    "pca": "64 principal components of the pixels of the reference, no net at all",
    "inception": "2,048 of Inception-v3, as in FID: inception=FILE with its weights (extra fid)",
}

#: What is said of a set of generated images, beside a reference.
IMAGE_METRICS: dict[str, str] = {
    "fd_classifier": "Fréchet distance to the reference in features of the classifier, 0 is best",
    "fid": "Fréchet Inception distance to the reference, 0 is best",
    "fd_pca": "Fréchet distance to the reference in principal components of pixels, 0 is best",
    "kid": "kernel distance to the reference in the same features, unbiased, 0 is best",
    "kid_error": "standard error of kid",
    "prd_f8": "precision and recall over clusters, F_8: mostly variety, 1 is best",
    "prd_f1_8": "precision and recall over clusters, F_1/8: mostly fidelity, 1 is best",
    "precision": "share of images that lie among those of the reference, by 5 neighbours",
    "recall": "share of the reference that lies among the images, by 5 neighbours",
    "density": "how crowded the reference is where the images lie, 1 for equal distributions",
    "coverage": "share of the reference that has an image in its neighbourhood",
    "nearest_train": "distance to the nearest training image, over that of real new images",
}

#: Ways from code to code.
WAYS: dict[str, str] = {
    "linear": "the straight line",
    "rescaled": "the straight line, brought to the mean length of codes",
    "spherical": "along a great circle, the length changing evenly",
}


#: What proposes the next molecules of a campaign.
STRATEGIES: dict[str, str] = {
    "latent": "Bayesian optimisation in the space of codes",
    "screening": "baseline: given texts, or those of the training data, in random order",
    "sampling": "baseline: draws from the model",
    "local": "baseline: normal steps in the space of codes from the best so far",
    "genetic": "baseline: crossover and mutation of molecular graphs",
    "gp_genetic": "strong baseline: the same, led by a Gaussian process on fingerprints",
}

#: Parts of ``--retrain``, as in ``every=50,k=1e-3``.
RETRAINING: dict[str, str] = {
    "every": "new molecules between two retrainings (50)",
    "k": "weights are 1 / (k N + rank): small favours the best, inf none (1e-3)",
    "epochs": "passes over the N molecules (0.1, more where N is small)",
    "rate": "learning rate (3e-4)",
}

#: What learns scores from codes.
SURROGATES: dict[str, str] = {
    "trust_region": "an exact Gaussian process near the best codes, in TuRBO's trust region",
    "sparse": "a sparse variational Gaussian process on everything, for large starts",
    "exact": "an exact Gaussian process on everything, for up to 2,000 scores",
}

#: How the next codes are chosen under a surrogate.
ACQUISITIONS: dict[str, str] = {
    "logei": "the logarithm of the batch's expected improvement (qLogEI)",
    "thompson": "each code is the best in one draw of the surrogate",
    "ucb": "the batch's upper confidence bound: mean plus a multiple of the deviation",
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
