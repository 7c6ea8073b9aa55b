"""From one molecule or image to another through the space of codes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molae.chem.fingerprints import morgan, tanimoto
from molae.datasets.one_image import as_text
from molae.names import pick
from molae.runs.run import Run

Row = dict[str, Any]

#: Ways from code to code.
PATHS = {
    "linear": "a straight line",
    "rescaled": "the straight line, brought to a length that changes evenly",
    "spherical": "along a great circle, the length changing evenly",
}


def way(a: Tensor, b: Tensor, t: Tensor, path: str = "linear") -> Tensor:
    """Points between two codes: a (D,), b (D,), t (n,) in [0, 1] -> (n, D).

    ``spherical`` turns the direction (Shoemake, *Animating rotation with quaternion curves*, 1985)
    and changes the length evenly; where directions agree, oppose or are missing it is the
    straight line. ``rescaled`` keeps the directions of the straight line, and changes the length
    evenly as well.

    Raises:
        ValueError: Unknown path.
    """
    t = t[:, None]
    line: Tensor = (1 - t) * a + t * b  # (n, D)
    if pick(PATHS, path, "path") == "linear":
        return line
    long_a, long_b = a.norm(), b.norm()
    length: Tensor = (1 - t) * long_a + t * long_b  # (n, 1)
    if path == "rescaled":
        rescaled: Tensor = line / line.norm(dim=1, keepdim=True).clamp(min=1e-12) * length
        return rescaled
    cosine = (a @ b / (long_a * long_b).clamp(min=1e-12)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if float(torch.sin(angle)) < 1e-4 or float(torch.minimum(long_a, long_b)) < 1e-9:
        return line
    turned: Tensor = torch.sin((1 - t) * angle) * a / long_a + torch.sin(t * angle) * b / long_b
    point: Tensor = length * turned / torch.sin(angle)  # (n, D)
    return point


def interpolate(run: Run, a: str, b: str, *, steps: int = 9, path: str = "linear") -> list[Row]:
    """What the codes between two molecules decode to, greedily.

    Args:
        run: The model.
        a: The first molecule; or text, or image (see ``molae.datasets.one_image.as_text``).
        b: The last one.
        steps: Points on the way, both ends included.
        path: A key of ``PATHS``.

    Returns:
        Rows of ``smiles``, ``t`` (0 to 1) and, for molecules, ``to_first`` and ``to_last``: the
        Tanimoto similarities to the two molecules. The ends are what their codes decode to, which
        are the molecules themselves where ``Run.encode`` finds such codes.

    Raises:
        EncodeError: A molecule cannot be encoded.
        ValueError: Fewer than two steps, or an unknown path.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}; expected at least 2, the two ends")
    first, last = run.encode([as_text(a), as_text(b)])
    t = torch.linspace(0, 1, steps)
    texts = run.decode(way(first, last, t, path))
    rows: list[Row] = [
        {"smiles": text, "t": round(float(place), 6)} for text, place in zip(texts, t, strict=True)
    ]
    if run.molecules:
        ends = morgan([a, b])
        for row in rows:
            if row["smiles"] is not None:
                near = tanimoto(morgan([row["smiles"]]), ends)[0]
                row["to_first"], row["to_last"] = float(near[0]), float(near[1])
    return rows
