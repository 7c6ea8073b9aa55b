"""Sequences of rules in two flat arrays, in memory or on disc, and batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from molae.types import PAD, Batch

if TYPE_CHECKING:
    import torch

Rows = NDArray[np.int64]


class DataSet(Protocol):
    """Many examples of one kind, sequences or images: what trainings and densities read."""

    rows: Rows
    """Which rows of the arrays, in which order, (m,)."""
    y: NDArray[Any] | None
    """Targets of all rows of the arrays, (n, ...), or None."""

    @property
    def lengths(self) -> Rows | None:
        """Length of each example, (m,), or None where all are equal (images)."""

    @property
    def keys(self) -> NDArray[np.uint64] | None:
        """Hashes of the examples, (m,), for splits; or None."""

    def __len__(self) -> int:
        """m, the number of examples."""

    def subset(self, index: Sequence[int] | NDArray[Any]) -> Self:
        """Some examples in the order given; a boolean array chooses where it is true."""

    def with_targets(self, y: NDArray[Any]) -> Self:
        """The same examples with targets, (m, ...)."""

    def array(self, index: Sequence[int] | Rows) -> NDArray[Any]:
        """Some examples as models read them, (B, ...)."""

    def batch(self, index: Sequence[int] | Rows) -> Batch:
        """The batch of some examples."""

    def joined(self, others: Sequence[Self]) -> Self:
        """This data set and others of its kind behind it, in memory."""


AnyData = TypeVar("AnyData", bound=DataSet)


class SequenceData:
    """Many sequences as the loop wants them: ``len``, ``lengths``, ``batch``.

    Sequence i is ``rules[offsets[i] : offsets[i + 1]]``. A subset shares the arrays.

    Args:
        rules: All sequences one after the other, (total,) uint16; may be a memory map.
        offsets: Where each begins, and the end, (n + 1,) int64.
        rows: Which sequences, in which order, (m,) int64; all if None.
        keys: 64-bit hashes of the items' texts, (n,) uint64, for splits; or None.
        y: Targets, (n, ...), or None.
        context: What models are conditioned on, (n, ...), or None.
        weight: Weights of the examples, (n,), or None.

    Attributes:
        lengths: Length of each sequence, (m,) int64.

    Raises:
        ValueError: The arrays do not fit one another.
    """

    def __init__(
        self,
        rules: NDArray[np.uint16],
        offsets: Rows,
        rows: Rows | None = None,
        *,
        keys: NDArray[np.uint64] | None = None,
        y: NDArray[Any] | None = None,
        context: NDArray[Any] | None = None,
        weight: NDArray[Any] | None = None,
    ) -> None:
        n = len(offsets) - 1
        if n < 0 or offsets[0] != 0 or offsets[-1] != len(rules):
            raise ValueError(
                f"{len(offsets)} offsets from {offsets[:1]} to {offsets[-1:]} do not fit "
                f"{len(rules)} rules; expected them to run from 0 to that number"
            )
        for name, values in (("keys", keys), ("y", y), ("context", context), ("weight", weight)):
            if values is not None and len(values) != n:
                raise ValueError(f"{name} has {len(values)} rows; expected {n}, one a sequence")
        self.rules = rules
        self.offsets = offsets
        self.rows: Rows = np.arange(n, dtype=np.int64) if rows is None else rows
        self._keys, self.y, self.context, self.weight = keys, y, context, weight
        self.lengths: Rows = offsets[self.rows + 1] - offsets[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def keys(self) -> NDArray[np.uint64] | None:
        """Hashes of the items' texts, (m,) uint64, or None."""
        return None if self._keys is None else self._keys[self.rows]

    def __getitem__(self, i: int) -> NDArray[np.int64]:
        """The rules of one sequence, (T,) int64."""
        row = self.rows[i]
        found = self.rules[self.offsets[row] : self.offsets[row + 1]]
        return np.asarray(found, dtype=np.int64)

    def subset(self, index: Sequence[int] | NDArray[Any]) -> SequenceData:
        """Some sequences in the order given; a boolean array chooses where it is true."""
        rows = self.rows[np.asarray(index, dtype=None if len(index) else np.int64)]
        return SequenceData(
            self.rules,
            self.offsets,
            rows,
            keys=self._keys,
            y=self.y,
            context=self.context,
            weight=self.weight,
        )

    def with_targets(self, y: NDArray[Any]) -> SequenceData:
        """The same sequences with targets: a row of y for each of them, (m, ...).

        Raises:
            ValueError: There are more rows or fewer.
        """
        if len(y) != len(self):
            raise ValueError(f"{len(y)} targets for {len(self)} sequences; expected one for each")
        whole = np.zeros((len(self.offsets) - 1, *y.shape[1:]), dtype=y.dtype)
        whole[self.rows] = y
        return SequenceData(
            self.rules,
            self.offsets,
            self.rows,
            keys=self._keys,
            y=whole,
            context=self.context,
            weight=self.weight,
        )

    def flat(self, index: Sequence[int] | Rows) -> NDArray[np.uint16]:
        """Sequences one after the other, (sum of their lengths,) uint16."""
        index = np.asarray(index, dtype=np.int64)
        length = self.lengths[index]  # (B,)
        start = self.offsets[self.rows[index]]  # (B,)
        before = np.cumsum(length) - length
        at = np.arange(length.sum()) + np.repeat(start - before, length)
        return np.asarray(self.rules[at])

    def array(self, index: Sequence[int] | Rows) -> NDArray[np.int64]:
        """Sequences side by side, (B, T) int64, ``PAD`` after the end; T is the longest."""
        length = self.lengths[np.asarray(index, dtype=np.int64)]  # (B,)
        inside = np.arange(length.max(initial=0)) < length[:, None]  # (B, T)
        x = np.full(inside.shape, PAD, dtype=np.int64)
        x[inside] = self.flat(index)
        return x

    def batch(self, index: Sequence[int] | Rows) -> Batch:
        """The batch of some rows of this data set; ``Batch.index`` is ``index`` itself."""
        import torch

        index = np.asarray(index, dtype=np.int64)
        rows = self.rows[index]

        def pick(values: NDArray[Any] | None) -> torch.Tensor | None:
            return None if values is None else torch.from_numpy(np.asarray(values[rows]))

        return Batch(
            x=torch.from_numpy(self.array(index)),
            y=pick(self.y),
            context=pick(self.context),
            weight=pick(self.weight),
            index=torch.from_numpy(index.copy()),
        )

    def joined(self, others: Sequence[SequenceData]) -> SequenceData:
        """This data set and others behind it, in memory; see ``join``."""
        parts = [self, *others]
        lengths = np.concatenate([part.lengths for part in parts])
        return SequenceData(
            np.concatenate([part.flat(range(len(part))) for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            keys=stacked(parts, "_keys"),
            y=stacked(parts, "y"),
            context=stacked(parts, "context"),
            weight=stacked(parts, "weight"),
        )


def join(parts: Sequence[AnyData]) -> AnyData:
    """Several data sets as one, in memory; a single one is given back as it is.

    Hashes are kept if all parts have them; targets, contexts and weights likewise.

    Raises:
        ValueError: There are no parts.
    """
    if not parts:
        raise ValueError("there is nothing to join; expected at least one data set")
    return parts[0] if len(parts) == 1 else parts[0].joined(parts[1:])


def stacked(parts: Sequence[DataSet], name: str) -> NDArray[Any] | None:
    """An array of one value a row, of the rows of several data sets; None if one has none."""
    values = [getattr(part, name) for part in parts]
    if any(value is None for value in values):
        return None
    return np.concatenate([v[p.rows] for v, p in zip(values, parts, strict=True)])


class ArrayWriter:
    """A one-dimensional ``.npy`` file that grows piece by piece, so that it never lies in memory.

    NumPy reserves room in the header for a leading size of any number of digits (since 1.23), so
    the header can be written again at the end.
    """

    def __init__(self, path: str | Path, dtype: type[np.generic]) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._stream: IO[bytes] = open(path, "wb")  # noqa: SIM115
        self._header()

    def append(self, values: NDArray[Any]) -> None:
        """Write (n,) more values."""
        self._stream.write(np.ascontiguousarray(values, dtype=self.dtype).tobytes())
        self.size += len(values)

    def close(self) -> None:
        """Write the header with the true size."""
        if not self._stream.closed:
            try:
                self._stream.seek(0)
                self._header()
            finally:
                self._stream.close()

    def _header(self) -> None:
        shape = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.size,)}
        np.lib.format.write_array_header_1_0(self._stream, shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
