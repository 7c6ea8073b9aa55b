"""Molecules around a molecule."""

from __future__ import annotations

import math
from typing import Any

import torch

from molae.chem.fingerprints import morgan, tanimoto
from molae.datasets.one_image import as_text
from molae.densities import KernelDensity
from molae.runs.run import Run

Row = dict[str, Any]

#: How far from a code its neighbours are looked for, in the units of ``around``.
RADIUS = 0.5
#: A radius that moves no code.
_NONE = 1e-6
#: Codes tried at once, and how many at most for each neighbour wanted.
BATCH, PATIENCE = 512, 50


def code_scale(run: Run) -> torch.Tensor:
    """Standard deviation of the training codes in each dimension, (D,); 1 where unknown."""
    gaussian = run.densities.get("gaussian")
    if gaussian is None:
        return torch.ones(run.size)
    factor: torch.Tensor = gaussian.state_dict()["scale_tril"]
    return factor.square().sum(1).sqrt().float()


def around(run: Run, z: torch.Tensor, radius: float = RADIUS) -> KernelDensity:
    """Normal distributions around codes, each as likely as the others.

    Args:
        run: The model.
        z: The codes, (N, D).
        radius: Standard deviation, in units of the standard deviation of the training codes in
            each dimension, see ``code_scale``.

    Raises:
        ValueError: The radius is not above 0, or not finite; or there is no code.
    """
    if not 0 < radius < math.inf:
        raise ValueError(f"radius is {radius}; expected a number above 0")
    if not len(z):
        raise ValueError("there is no code to draw from around of; give at least one")
    scale = code_scale(run).double()
    made = KernelDensity(bandwidth=radius, shrink=False)
    made.load_state_dict(
        {
            "mean": torch.zeros_like(scale),
            "scale_tril": torch.diag(scale),
            "points": z.double() / scale,
            "width_of_kernels": torch.tensor(radius, dtype=torch.float64),
        }
    )
    return made


def near(run: Run, z: torch.Tensor, radius: float = RADIUS) -> tuple[KernelDensity, float]:
    """What to draw from around codes, and the noise to put on what is drawn and to tell of.

    A decoder that can be told is told the radius; it then takes a code that far away for a
    blurred picture of the given one. Another only sees other codes.

    Args:
        run: The model.
        z: The codes, (N, D).
        radius: As for ``around``; for a decoder that is told, in units of the root of the mean
            variance of a dimension, the same for each.

    Raises:
        ValueError: As for ``around``.
    """
    made = around(run, z, radius)
    if not run.noise_range:
        return made, 0.0
    return around(run, z, _NONE), radius * float(code_scale(run).square().mean().sqrt())


def neighbors(
    run: Run,
    smiles: str,
    n: int = 50,
    *,
    radius: float = RADIUS,
    seed: int = 0,
    temperature: float | None = None,
) -> list[Row]:
    """Different molecules decoded from around a molecule's code, the most similar first.

    Of other texts, and of images, those come first whose codes are nearest.

    Args:
        run: The model.
        smiles: The molecule; or text, or image (see ``molae.datasets.one_image.as_text``).
        n: How many; there may be fewer if the radius is small.
        radius: Standard deviation of the normal noise on the code, see ``near``.
        seed: Of the noise.
        temperature: Of p(x|z); None or 0 takes the most likely rule at every step.

    Returns:
        Rows of ``smiles`` (canonical) and ``similarity`` (Tanimoto, Morgan fingerprints of radius
        2; None for what are no molecules), without the molecule itself.

    Raises:
        EncodeError: The molecule cannot be encoded.
        ValueError: The radius is not above 0.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected at least 1")
    smiles = as_text(smiles)
    center = run.encode([smiles])
    source, noise = near(run, center, radius)
    found: dict[str, float] = {}  # text -> distance of its code
    own = run.spelling([smiles])[0]
    for start in range(0, max(BATCH, PATIENCE * n), BATCH):
        index = torch.arange(start, start + BATCH)
        z = run.blurred(source.sample_rows(seed, index), noise, seed, index)
        texts = run.decode(
            z,
            seed=None if temperature is None else seed,
            temperature=temperature,
            index=index,
            noise=noise,
        )
        far = ((z - center) / code_scale(run)).norm(dim=1).tolist()
        for text, distance in zip(texts, far, strict=True):
            if text is not None and text != own:
                found.setdefault(text, distance)
        if len(found) >= n:
            break
    first = list(found)[:n]
    if run.molecules:
        return _ranked(own or smiles, first)
    first.sort(key=lambda text: found[text])
    return [{"smiles": text, "similarity": None} for text in first]


def _ranked(own: str, texts: list[str]) -> list[Row]:
    if not texts:
        return []
    similar = tanimoto(morgan([own]), morgan(texts))[0]
    rows = [
        {"smiles": text, "similarity": float(value)}
        for text, value in zip(texts, similar, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["similarity"], row["smiles"]))
