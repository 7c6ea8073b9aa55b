"""From molecule files to sequences and the codec that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from molae.codecs import MAX_STEPS, GrammarCodec, head_room, shipped_codec
from molae.datasets.arrays import SequenceData, join
from molae.datasets.cache import Encoded, cached
from molae.datasets.files import DataError
from molae.datasets.readers import BadLine
from molae.datasets.writers import RejectWriter
from molae.grammar.cfg import Grammar
from molae.grammar.parser import deterministic_parser
from molae.grammar.restrict import restricted, tokens_in, tokens_of
from molae.names import GRAMMARS, closest
from molae.resources import grammar_names, grammar_text
from molae.workflows.reading import bar

#: Sequences turned into text and back at once.
_CHUNK = 4096


@dataclass
class TrainingData:
    """What a training reads.

    Attributes:
        codec: Holds the rules that the data needs (and those of the run it starts from).
        data: All sequences, with keys for splits.
        sources: For each file its name, digest, counts and reasons of rejection.
        encoded: What lies in the cache, one a file.
        long: Rows, counted through all files, whose derivations are too long for the codec.
    """

    codec: GrammarCodec
    data: SequenceData
    sources: list[dict[str, Any]]
    encoded: list[Encoded]
    long: NDArray[np.int64]

    @property
    def rejected(self) -> int:
        """Items of all files that could not be used."""
        return sum(part.rejected for part in self.encoded) + len(self.long)

    def write_rejects(self, path: Path) -> None:
        """Everything that could not be used, with file, line, token and reason."""
        with RejectWriter(path) as out:
            first = 0
            for part in self.encoded:
                for bad in part.rejects():
                    out.write(part.source, bad)
                rows = self.long - first
                for row in rows[(rows >= 0) & (rows < len(part.data))]:
                    steps = self.codec.max_steps
                    reason = f"too long: more than {steps} rules"
                    out.write(part.source, BadLine(int(part.lines[row]), "", reason))
                first += len(part.data)


def named_grammar(name: str | Path) -> Grammar:
    """A grammar by shipped name, or read from a ``.cfg`` file.

    Raises:
        GrammarError: The file is no grammar.
        ValueError: There is neither such a name nor such a file.
    """
    if str(name) in grammar_names():
        return Grammar.from_text(grammar_text(str(name)), str(name))
    path = Path(name)
    if path.is_file():
        try:
            return Grammar.from_text(path.read_text(encoding="utf-8"), str(name))
        except (OSError, UnicodeError) as error:
            raise ValueError(f"{name}: cannot be read as text ({error})") from error
    hint = closest(str(name), GRAMMARS)
    raise ValueError(f"there is no grammar {str(name)!r} and no file of that name: {hint}")


def load_data(
    files: Sequence[str | Path],
    *,
    grammar: str | Path = "smiles",
    base: GrammarCodec | None = None,
    codec: GrammarCodec | None = None,
    max_steps: int | None = None,
    column: str | None = None,
    workers: int = 1,
    cache: Path | None = None,
    progress: bool = False,
) -> TrainingData:
    """Read, canonicalise and encode files, with a cache beside each.

    With the grammar ``smiles`` files are encoded once by the general table, whatever they are
    used for; then the table is restricted to what they need and bracket atoms become one rule
    each, which takes seconds.

    Args:
        files: Molecule files, ``-`` for standard input.
        grammar: A shipped name or a file.
        base: A codec to grow, of a run that training starts from.
        codec: Use this one as it is (a training that is resumed).
        max_steps: Longest derivation; None takes the longest of the data and a quarter more.
        column: SMILES column of tables.
        workers: Processes.
        cache: Folder for the cache, instead of beside the files.
        progress: Show a bar.

    Raises:
        DataError: A file cannot be read, or nothing in it can be encoded.
        ValueError: There is no such grammar.
    """
    if not files:
        raise DataError("no files to train on; name at least one")
    known = codec or base
    restrict = _is_restricted(known) if known is not None else str(grammar) == "smiles"
    general = _general(restrict, known, grammar)
    whole = general.grammar.directives.get("spelling", "text") == "text"
    with bar("reading", progress) as show:
        encoded = [
            cached(
                general,
                file,
                column=column,
                whole_lines=whole,
                folder=cache,
                workers=workers,
                progress=show,
            )
            for file in files
        ]
    data = join([part.data for part in encoded])
    sources = [_facts(part) for part in encoded]
    if restrict:
        codec = codec or _restricted(general, data, base, max_steps)
        data = _respell(general, data, codec)
    else:
        codec = codec or _fitted(general, data, base, max_steps)
    long = np.flatnonzero(data.lengths > codec.max_steps)
    if len(long):
        data = data.subset(data.lengths <= codec.max_steps)
    if not len(data):
        names = ", ".join(map(str, files))
        raise DataError(f"{names}: all derivations are longer than {max_steps} rules; allow more")
    return TrainingData(codec, data, sources, encoded, long)


def _is_restricted(codec: GrammarCodec) -> bool:
    """Whether a codec's grammar was made by ``restricted`` from ``smiles``."""
    return codec.grammar.text == restricted(tokens_in(codec.grammar)).text


def _general(restrict: bool, known: GrammarCodec | None, grammar: str | Path) -> GrammarCodec:
    """The codec that files are encoded with first."""
    if restrict:
        return shipped_codec("smiles")
    return GrammarCodec(known.grammar if known else named_grammar(grammar), MAX_STEPS)


def _texts(general: GrammarCodec, data: SequenceData) -> Iterator[list[str]]:
    """The texts behind sequences, some at a time, spelt as the grammar wants them."""
    for first in range(0, len(data), _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, len(data)))
        found = general.decode(torch.from_numpy(data.array(rows)))
        yield [text for text in found if text is not None]


def _restricted(
    general: GrammarCodec, data: SequenceData, base: GrammarCodec | None, wanted: int | None
) -> GrammarCodec:
    tokens: set[str] = set() if base is None else tokens_in(base.grammar)
    for texts in _texts(general, data):
        tokens |= tokens_of(texts)
    grammar = restricted(tokens)
    longest = max(
        int((rules >= 0).sum(1).max()) for rules in _parsed(grammar, _texts(general, data))
    )
    return _codec(grammar, wanted or head_room(longest), base)


def _fitted(
    general: GrammarCodec, data: SequenceData, base: GrammarCodec | None, wanted: int | None
) -> GrammarCodec:
    """The same grammar with steps for this data."""
    return _codec(general.grammar, wanted or head_room(int(data.lengths.max())), base)


def _codec(grammar: Grammar, steps: int, base: GrammarCodec | None) -> GrammarCodec:
    if base is None:
        return GrammarCodec(grammar, steps)
    old = base.constraint
    return GrammarCodec(
        grammar,
        max(steps, base.max_steps),
        stack=old.stack,
        budget=old.budget,
        attributes=old.wanted,
    )


def _parsed(grammar: Grammar, texts: Iterator[list[str]]) -> Iterator[NDArray[np.int64]]:
    """Rules (n, T) of texts that the grammar was made for.

    The attributes need not be looked at again: the general table has passed these texts, and the
    restricted one spells the same tokens.
    """
    parser = deterministic_parser(grammar)
    if parser is None:
        raise ValueError(f"{grammar.name} needs more than one token of look-ahead")
    for piece in texts:
        parsed = parser.parse(piece)
        if parsed.failures:
            row, why = next(iter(parsed.failures.items()))
            raise DataError(f"{piece[row]!r} does not fit the grammar of its own data: {why}")
        yield parsed.rules


def _respell(general: GrammarCodec, data: SequenceData, codec: GrammarCodec) -> SequenceData:
    """The same molecules in the rules of a restricted codec."""
    flat, lengths = [], []
    for rules in _parsed(codec.grammar, _texts(general, data)):
        flat.append(rules[rules >= 0].astype(np.uint16))
        lengths.append((rules >= 0).sum(1))
    length = np.concatenate(lengths).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return SequenceData(np.concatenate(flat), offsets, keys=data.keys)


def _facts(part: Encoded) -> dict[str, Any]:
    return {
        "file": Path(part.source).name,
        "sha256": part.digest,
        "used": len(part.data),
        "rejected": part.rejected,
        "reasons": part.reasons,
    }


#: For callers that show sentences.
Say = Callable[[str], None]
