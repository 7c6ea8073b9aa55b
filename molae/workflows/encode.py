"""Codes to and from files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.datasets.arrays import ArrayWriter
from molae.datasets.files import DataError, replacing
from molae.datasets.readers import BadLine
from molae.datasets.writers import open_writer
from molae.names import REFINE
from molae.runs.run import Run
from molae.workflows.output import open_output
from molae.workflows.reading import Input, worker_count

Floats = NDArray[np.float32]

#: Codes decoded at once.
CHUNK = 8192


@dataclass
class Encoded:
    """What ``encode_file`` did.

    Attributes:
        written: Codes.
        missed: Those that were corrected in vain: they still decode to something else. 0 where
            none were to be corrected.
        rejected: Lines that could not be encoded.
        reasons: How many of these by reason.
    """

    written: int = 0
    missed: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass
class Decoded:
    """What ``decode_file`` did: molecules written, and codes that gave none."""

    written: int = 0
    invalid: int = 0


def columns(size: int) -> list[str]:
    """Names of the columns of a code, z1 to zD."""
    return [f"z{i + 1}" for i in range(size)]


def encode_file(
    run: Run,
    source: str | Path,
    target: str | Path,
    *,
    column: str | None = None,
    rejects: str | Path | None = None,
    refine: int = REFINE,
    workers: int | None = None,
) -> Encoded:
    """The codes of the molecules in a file.

    Args:
        run: The model.
        source: A molecule file, or ``-``.
        target: ``.npy`` for an array (n, D) float32 of the molecules that could be encoded, in
            order; ``.csv``, ``.tsv`` (also ``.gz``) or ``.parquet`` for their lines, SMILES as
            given, and z1 to zD; ``-`` for such a table with tabs on standard output.
        column: SMILES column of a table.
        rejects: Where to write what could not be encoded.
        refine: Steps that a code is corrected in at most, see ``Run.encode``.
        workers: Processes that read molecules.

    Raises:
        DataError: A file cannot be read or written, or nothing could be encoded.
    """
    done = Encoded()
    count = worker_count(workers)
    with Input(source, column, rejects, whole_lines=not run.molecules) as given:
        pieces = _encoded(run, given, refine, count, done)
        if os.fspath(target).endswith(".npy"):
            _write_array(target, pieces, run.size)
        else:
            _write_table(target, pieces, run.size)
        done.rejected = given.rejected.count
        done.reasons = dict(given.rejected.reasons.most_common())
    return done


Piece = tuple[list[int], list[str], Floats]


def _encoded(run: Run, given: Input, refine: int, workers: int, done: Encoded) -> Iterator[Piece]:
    """Lines, texts and codes, some at a time."""
    for records in given.chunks():
        encoding = run.codec.parse([record.smiles for record in records], workers=workers)
        for lost in encoding.rejects:
            given.refuse(BadLine(records[lost.index].line, lost.text, lost.reason, lost.token))
        kept = [records[row] for row in encoding.kept]
        if kept:
            done.written += len(kept)
            x = encoding.padded()
            z = run.codes(x)
            if refine:
                z, taken = run.corrected(x, z, refine)
                left = taken > refine
                done.missed += _missed(run, x[left], z[left])
            yield [record.line for record in kept], [record.smiles for record in kept], z.numpy()
    if not done.written:
        raise given.nothing_used()


def _missed(run: Run, x: Tensor, z: Tensor) -> int:
    """How many codes (n, D) decode to something else than x, however that is spelt."""
    if not len(x):
        return 0
    wanted = run.spelling(run.codec.decode(x))
    pairs = zip(wanted, run.decode(z), strict=True)
    return sum(before is None or before != after for before, after in pairs)


class _CodeWriter(ArrayWriter):
    """Codes (n, D) as ``.npy``, some at a time."""

    def __init__(self, path: Path, width: int) -> None:
        self.width = width
        super().__init__(path, np.float32)

    def _header(self) -> None:
        shape = (self.size, self.width)
        facts = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, facts)


def _write_array(target: str | Path, pieces: Iterator[Piece], size: int) -> None:
    with replacing(target) as part, _CodeWriter(part, size) as out:
        for _, _, z in pieces:
            out.append(z)


def _write_table(target: str | Path, pieces: Iterator[Piece], size: int) -> None:
    names = columns(size)
    types: dict[str, type] = {"line": int, "smiles": str, **dict.fromkeys(names, float)}
    with open_writer(target, types) as out:
        for lines, texts, z in pieces:
            for line, text, row in zip(lines, texts, z.tolist(), strict=True):
                out.write({"line": line, "smiles": text, **dict(zip(names, row, strict=True))})


def read_codes(source: str | Path, size: int) -> Floats:
    """Codes (n, D) from a file that ``encode_file`` wrote, or one of that shape.

    ``-`` is a table with tabs on standard input, as ``encode_file`` writes it. Tables need columns
    z1 to zD, or exactly D columns of numbers.

    Raises:
        DataError: The file cannot be read, or holds no codes of that size.
    """
    name = os.fspath(source)
    if name != "-" and not os.path.exists(name):
        raise DataError(f"{name}: there is no such file.")
    try:
        z = _array(name) if name.lower().endswith(".npy") else _numbers(name, size)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: cannot be read as codes ({error}).") from error
    if z.ndim != 2 or z.shape[1] != size:
        raise DataError(f"{name}: holds an array of shape {z.shape}; expected (n, {size}).")
    if not np.isfinite(z).all():
        raise DataError(f"{name}: some codes are not finite numbers.")
    return z


def _array(name: str) -> Floats:
    return np.asarray(np.load(name, mmap_mode="r", allow_pickle=False), dtype=np.float32)


def _numbers(name: str, size: int) -> Floats:
    table = _table(name)
    wanted = columns(size)
    if not set(wanted) <= set(table.columns):
        numbers = list(table.select_dtypes("number").columns)
        if len(numbers) != size:
            raise DataError(
                f"{name}: expected the columns z1 to z{size}, or {size} columns of numbers; found "
                f"{len(numbers)} columns of numbers."
            )
        wanted = numbers
    return np.asarray(table[wanted].to_numpy(), dtype=np.float32)


def _table(name: str) -> Any:
    """A data frame by suffix; gzip is seen by the suffix too."""
    import pandas

    plain = name.lower().removesuffix(".gz")
    if plain.endswith(".parquet"):
        return pandas.read_parquet(name)
    source: str | IO[bytes] = sys.stdin.buffer if name == "-" else name
    return pandas.read_csv(source, sep="\t" if name == "-" or plain.endswith(".tsv") else ",")


def decode_file(
    run: Run,
    source: str | Path,
    target: str | Path,
    *,
    seed: int | None = None,
    temperature: float | None = None,
) -> Decoded:
    """The molecules of the codes in a file, in order.

    Args:
        run: The model.
        source: ``.npy``, ``.csv``, ``.tsv`` (also ``.gz``) or ``.parquet``; ``-`` is a table with
            tabs on standard input.
        target: Where to write; see ``open_output``. A code that gives no molecule (only where
            the grammar makes no promise) is left out of pictures and lists, and is an empty cell
            of a table.
        seed: Of draws from p(x|z); see ``Run.decode``.
        temperature: Of the draws; None without a seed, or 0, takes the most likely rule.

    Raises:
        DataError: A file cannot be read or written.
    """
    z = read_codes(source, run.size)
    done = Decoded()
    table = os.fspath(target).endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet"))
    with open_output(target, {"smiles": str}) as out:
        for first in range(0, len(z), CHUNK):
            part = torch.from_numpy(np.array(z[first : first + CHUNK]))
            index = torch.arange(first, first + len(part))
            for text in run.decode(part, seed=seed, temperature=temperature, index=index):
                done.invalid += text is None
                if text is not None or table:
                    out.write({"smiles": text})
                    done.written += 1
    return done
