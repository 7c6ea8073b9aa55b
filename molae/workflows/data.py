"""From molecule files to sequences and the codec that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molae.codecs import CharacterCodec, GrammarCodec
from molae.datasets.arrays import SequenceData, join
from molae.datasets.cache import Encoded, cached
from molae.datasets.files import DataError
from molae.datasets.readers import BadLine
from molae.datasets.writers import RejectWriter
from molae.grammar.cfg import Grammar
from molae.names import GRAMMARS, closest
from molae.resources import grammar_names, grammar_text
from molae.workflows import characters, rules
from molae.workflows.reading import bar
from molae.workflows.targets import computed

AnyCodec = GrammarCodec | CharacterCodec


@dataclass
class TrainingData:
    """What a training reads.

    Attributes:
        codec: Holds the rules that the data needs (and those of the run it starts from).
        data: All sequences, with keys for splits, and with properties as targets where any were
            asked for, (n, P) float64, NaN where one is not known.
        sources: For each file its name, digest, counts and reasons of rejection.
        encoded: What lies in the cache, one a file.
        long: Rows, counted through all files, that are too long for the codec.
    """

    codec: AnyCodec
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
                    reason = f"too long: more than {_limit(self.codec)}"
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
    grammar: str | Path | None = "smiles",
    base: AnyCodec | None = None,
    codec: AnyCodec | None = None,
    max_steps: int | None = None,
    column: str | None = None,
    properties: Sequence[str] = (),
    workers: int = 1,
    cache: Path | None = None,
    progress: bool = False,
) -> TrainingData:
    """Read, canonicalise and encode files, with a cache beside each.

    With the grammar ``smiles``, and with characters, files are encoded once by the general table,
    whatever they are used for; then the table is restricted to what they need (and bracket atoms
    become one rule each), which takes seconds.

    Args:
        files: Molecule files, ``-`` for standard input.
        grammar: A shipped name or a file; None for the characters of canonical SMILES.
        base: A codec to grow, of a run that training starts from.
        codec: Use this one as it is (a training that is resumed).
        max_steps: Longest derivation, or longest text and its end mark; None takes the longest of
            the data and a quarter more.
        column: SMILES column of tables.
        properties: Names out of ``molae.names.PROPERTIES``, to be computed for targets.
        workers: Processes.
        cache: Folder for the cache, instead of beside the files.
        progress: Show a bar.

    Raises:
        DataError: A file cannot be read, or nothing in it can be encoded.
        ValueError: There is no such grammar, or properties are asked for of what is no molecule.
    """
    if not files:
        raise DataError("no files to train on; name at least one")
    general = _general(codec or base, grammar)
    if properties and general.spelling == "text":
        raise ValueError(
            "properties are of molecules, and this grammar writes none; leave them out"
        )
    with bar("reading", progress) as show:
        encoded = [
            cached(
                general,
                file,
                column=column,
                whole_lines=general.spelling == "text",
                folder=cache,
                workers=workers,
                progress=show,
            )
            for file in files
        ]
    data = join([part.data for part in encoded])
    codec, data = _recoded(general, data, base, codec, max_steps)
    if properties:
        with bar("properties", progress) as show:
            tables = [computed(part, general, properties, workers, show) for part in encoded]
        data = data.with_targets(np.concatenate(tables))
    long = np.flatnonzero(data.lengths > codec.max_steps)
    if len(long):
        data = data.subset(data.lengths <= codec.max_steps)
    if not len(data):
        names = ", ".join(map(str, files))
        raise DataError(f"{names}: everything is longer than {_limit(codec)}; allow more")
    return TrainingData(codec, data, [_facts(part) for part in encoded], encoded, long)


def _limit(codec: AnyCodec) -> str:
    """How long a sequence may be, in words."""
    if isinstance(codec, CharacterCodec):
        return f"{codec.max_steps - 1} characters"
    return f"{codec.max_steps} rules"


def _general(known: AnyCodec | None, grammar: str | Path | None) -> AnyCodec:
    """The codec that files are encoded with first, of the kind of a known one if there is one."""
    if isinstance(known, CharacterCodec):
        return characters.whole(known.spelling)
    if isinstance(known, GrammarCodec):
        return rules.whole(known.grammar)
    return characters.whole() if grammar is None else GrammarCodec(named_grammar(grammar))


def _recoded(
    general: AnyCodec,
    data: SequenceData,
    base: AnyCodec | None,
    codec: AnyCodec | None,
    wanted: int | None,
) -> tuple[AnyCodec, SequenceData]:
    """The codec that is used in the end, the given one or what the data needs, and data in it.

    Base and codec are None or, as ``_general`` sees to, of the general one's kind.
    """
    if isinstance(general, CharacterCodec):
        if not isinstance(codec, CharacterCodec):
            letters = base if isinstance(base, CharacterCodec) else None
            codec = characters.needed(general, data, letters, wanted)
        return codec, characters.recoded(general, data, codec)
    if not isinstance(codec, GrammarCodec):
        grown = base if isinstance(base, GrammarCodec) else None
        codec = rules.needed(general, data, grown, wanted)
    return codec, rules.recoded(general, data, codec)


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
