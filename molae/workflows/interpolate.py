"""From one molecule or image to another through the space of codes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molae.chem.fingerprints import morgan, tanimoto
from molae.datasets.one_image import as_text
from molae.metrics.latent import ways
from molae.runs.run import Run

Row = dict[str, Any]


def way(a: Tensor, b: Tensor, t: Tensor, path: str = "linear") -> Tensor:
    """Points between two codes, see ``ways``: a (D,), b (D,), t (n,) in [0, 1] -> (n, D).

    Raises:
        ValueError: Unknown path.
    """
    return ways(a[None], b[None], t, path)[0]


def interpolate(run: Run, a: str, b: str, *, steps: int = 9, path: str = "linear") -> list[Row]:
    """What the codes between two molecules decode to, greedily.

    Args:
        run: The model.
        a: The first molecule; or text, or image (see ``molae.datasets.one_image.as_text``).
        b: The last one.
        steps: Points on the way, both ends included.
        path: A key of ``molae.names.WAYS``.

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
