"""Published numbers of the practical molecular optimisation benchmark, task by task."""

from __future__ import annotations

#: Where they were read: AUC of the ten best, mean of 5 runs.
SOURCE = (
    "10,000 calls, read from the pages of pmo-benchmark.github.io (Gao et al., NeurIPS 2022; "
    "PyTDC 0.3.6)"
)
#: Calls of each run.
CALLS = 10_000
#: Methods, as they are called in the columns below.
_METHODS = ("screening", "SMILES-VAE-BO", "SELFIES-VAE-BO", "Graph GA", "GP-BO", "REINVENT")
_AREAS: dict[str, tuple[float, ...]] = {
    "celecoxib_rediscovery": (0.351, 0.354, 0.326, 0.630, 0.723, 0.713),
    "troglitazone_rediscovery": (0.249, 0.257, 0.243, 0.390, 0.410, 0.441),
    "thiothixene_rediscovery": (0.317, 0.317, 0.297, 0.479, 0.559, 0.534),
    "albuterol_similarity": (0.483, 0.489, 0.494, 0.838, 0.898, 0.882),
    "mestranol_similarity": (0.409, 0.399, 0.386, 0.579, 0.627, 0.618),
    "isomers_c9h10n2o2pf2cl": (0.106, 0.084, 0.200, 0.719, 0.469, 0.642),
    "isomers_c7h8n2o2": (0.168, 0.161, 0.325, 0.862, 0.680, 0.852),
    "median1": (0.205, 0.202, 0.201, 0.294, 0.301, 0.356),
    "median2": (0.200, 0.195, 0.185, 0.273, 0.297, 0.276),
    "osimertinib_mpo": (0.764, 0.771, 0.765, 0.831, 0.787, 0.837),
    "fexofenadine_mpo": (0.666, 0.671, 0.670, 0.760, 0.722, 0.784),
    "ranolazine_mpo": (0.411, 0.457, 0.452, 0.728, 0.735, 0.760),
    "perindopril_mpo": (0.445, 0.442, 0.429, 0.538, 0.493, 0.537),
    "amlodipine_mpo": (0.535, 0.533, 0.516, 0.661, 0.583, 0.635),
    "sitagliptin_mpo": (0.022, 0.023, 0.084, 0.433, 0.186, 0.021),
    "zaleplon_mpo": (0.072, 0.039, 0.206, 0.346, 0.221, 0.358),
    "valsartan_smarts": (0.000, 0.001, 0.001, 0.000, 0.000, 0.178),
    "deco_hop": (0.590, 0.589, 0.579, 0.619, 0.629, 0.666),
    "scaffold_hop": (0.471, 0.470, 0.455, 0.517, 0.548, 0.560),
    "qed": (0.938, 0.938, 0.936, 0.940, 0.937, 0.941),
}
#: Method -> task -> area.
PUBLISHED: dict[str, dict[str, float]] = {
    method: {task: values[column] for task, values in _AREAS.items()}
    for column, method in enumerate(_METHODS)
}
