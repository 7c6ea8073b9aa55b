"""Properties that are learnt with the codes: computed once, standardised, measured afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from molae.chem.properties import score
from molae.codecs import Codec
from molae.datasets.arrays import AnyData, DataSet, SequenceData
from molae.datasets.cache import Encoded
from molae.datasets.files import DataError, replacing
from molae.runs.run import Run
from molae.workflows.reading import Show

Floats = NDArray[np.float64]

#: Molecules whose properties are computed at once, and that a run's predictions are measured on.
_CHUNK, _MEASURED = 20_000, 10_000


def computed(
    part: Encoded[SequenceData], codec: Codec, names: Sequence[str], workers: int, show: Show
) -> Floats:
    """Properties of the molecules of an encoded file, kept beside its arrays.

    The arrays' folder is named after all that decides their content, the version of RDKit
    included, so what lies there was computed from the same molecules.

    Args:
        part: The file.
        codec: What it was encoded with.
        names: Names out of ``molae.names.PROPERTIES``.
        workers: Processes to share the work.
        show: Told of progress.

    Returns:
        (n, P), NaN where a property has no value.
    """
    count = len(part.data)
    there = {name: _kept(part.folder, name, count) for name in names}
    missing = [name for name, values in there.items() if values is None]
    if missing:
        new = np.full((count, len(missing)), np.nan)
        for first in range(0, count, _CHUNK):
            rows = np.arange(first, min(first + _CHUNK, count))
            texts = codec.decode(torch.from_numpy(part.data.array(rows)))
            scored = score([text or "" for text in texts], missing, workers)
            new[rows] = np.stack([scored[name] for name in missing], 1)
            show(int(rows[-1]) + 1, (int(rows[-1]) + 1) / count)
        new[~np.isfinite(new)] = np.nan
        for name, values in zip(missing, new.T, strict=True):
            there[name] = values
            # A folder that cannot be written costs the time of computing them again.
            with suppress(DataError), replacing(_place(part.folder, name)) as path:
                np.save(path, values)
    return np.stack([values for values in there.values() if values is not None], 1)


def _place(folder: Path, name: str) -> Path:
    return folder / f"property-{name}.npy"


def _kept(folder: Path, name: str, count: int) -> Floats | None:
    """What was computed before, or None."""
    try:
        values = np.load(_place(folder, name), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = isinstance(values, np.ndarray) and values.shape == (count,)
    return values if fits and values.dtype == np.float64 else None


def standardised(table: dict[str, Any], learnt: AnyData, held: AnyData) -> tuple[AnyData, AnyData]:
    """Both data sets with targets of mean 0 and standard deviation 1 over what is learnt from.

    Args:
        table: ``names``; ``mean`` and ``std`` are taken from it where they are there, else put
            into it. A property that is the same for all has a standard deviation of 1.
        learnt: With properties as targets, (n, P).
        held: The same, of what is held out.

    Raises:
        DataError: No molecule that is learnt from has a value of one of them.
    """
    raw = _targets(learnt)
    for name, values in zip(table["names"], raw.T, strict=True):
        if not np.isfinite(values).any():
            raise DataError(f"none of the molecules has a {name}; leave that property out")
    if "mean" not in table:
        table["mean"] = np.nanmean(raw, 0).tolist()
        std = np.nanstd(raw, 0)
        # Of equal numbers it need not be 0: their mean is rounded.
        varies = std > 1e-9 * np.maximum(1.0, np.abs(table["mean"]))
        table["std"] = np.where(varies, std, 1.0).tolist()
    mean, std = np.array(table["mean"]), np.array(table["std"])
    both = [
        data.with_targets(((_targets(data) - mean) / std).astype(np.float32))
        for data in (learnt, held)
    ]
    return both[0], both[1]


def _targets(data: DataSet) -> Floats:
    """The targets of the rows of a data set, (m, P)."""
    if data.y is None:
        raise ValueError("the data has no properties; load it with those that are to be learnt")
    return np.asarray(data.y[data.rows], dtype=np.float64)


def agreement(run: Run, data: DataSet) -> dict[str, dict[str, float | None]]:
    """How well a run predicts properties: for each its R^2 and mean absolute error.

    Args:
        run: Predicts properties.
        data: With standardised properties as targets; ``_MEASURED`` of its molecules, chosen at
            random, are looked at.

    Returns:
        name -> ``r2``, the share of the variance that is explained, None where there is no
        variance; ``mae``, in the units of the property, None where no value is known; and
        ``measured``, the number of molecules with a value.
    """
    table = run.config["properties"]
    rows = np.sort(np.random.default_rng(0).permutation(len(data))[:_MEASURED])
    pieces = np.array_split(rows, 1 + len(rows) // 8192)
    z = torch.cat([run.codes(torch.from_numpy(data.array(piece))) for piece in pieces])
    found = run.predict(z).double().numpy()
    true = _targets(data)[rows] * np.array(table["std"]) + np.array(table["mean"])
    return {name: _errors(true[:, i], found[:, i]) for i, name in enumerate(table["names"])}


def _errors(true: Floats, found: Floats) -> dict[str, float | None]:
    known = np.isfinite(true)
    true, error = true[known], (found - true)[known]
    spread = float(((true - true.mean()) ** 2).sum()) if len(true) else 0.0
    return {
        "r2": 1.0 - float((error**2).sum()) / spread if spread > 0 else None,
        "mae": float(np.abs(error).mean()) if len(true) else None,
        "measured": len(true),
    }
