"""From files to sequences or images, and the codec that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molae.codecs import (
    AnyCodec,
    CharacterCodec,
    Encoding,
    GrammarCodec,
    ImageCodec,
    ImageEncoding,
)
from molae.datasets.arrays import DataSet, SequenceData, join
from molae.datasets.cache import Encoded, Progress, cached
from molae.datasets.files import DataError
from molae.datasets.image_cache import cached_images
from molae.datasets.image_files import is_image_source, open_images
from molae.datasets.images import ImageData, image_codec
from molae.datasets.readers import BadLine
from molae.datasets.writers import RejectWriter
from molae.grammar.cfg import Grammar
from molae.names import GRAMMARS, closest
from molae.resources import grammar_names, grammar_text
from molae.workflows import characters, rules
from molae.workflows.reading import bar
from molae.workflows.targets import computed

#: A codec of texts.
TextCodec = GrammarCodec | CharacterCodec


@dataclass
class TrainingData:
    """What a training reads.

    Attributes:
        codec: Holds the rules that the data needs (and those of the run it starts from), or the
            size of the images.
        data: All sequences or images, with keys for splits, and with properties as targets where
            any were asked for, (n, P) float64, NaN where one is not known.
        sources: For each file its name, digest, counts and reasons of rejection.
        encoded: What lies in the cache, one a file.
        long: Rows, counted through all files, that are too long for the codec.
        limit: How long they may be, in words.
        remarks: What is to be known of how they were read, a sentence each.
    """

    codec: AnyCodec
    data: SequenceData | ImageData
    sources: list[dict[str, Any]]
    encoded: Sequence[Encoded[Any]]
    long: NDArray[np.int64]
    limit: str = ""
    remarks: Sequence[str] = ()

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
                    reason = f"too long: more than {self.limit}"
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
    image_size: int | Sequence[int] | None = None,
    crop: str | None = None,
    column: str | None = None,
    properties: Sequence[str] = (),
    workers: int = 1,
    cache: Path | None = None,
    progress: bool = False,
) -> TrainingData:
    """Read, canonicalise and encode files, with a cache beside each; see ``medium_of``.

    With the grammar ``smiles``, and with characters, files are encoded once by the general table,
    whatever they are used for; then the table is restricted to what they need (and bracket atoms
    become one rule each), which takes seconds. Images are brought to one size.

    Args:
        files: Molecule files, ``-`` for standard input; or sources of images, see
            ``molae.datasets.image_files``.
        grammar: A shipped name or a file; None for the characters of canonical SMILES.
        base: A codec to grow, of a run that training starts from.
        codec: Use this one as it is (a training that is resumed).
        max_steps: Longest derivation, or longest text and its end mark; None takes the longest of
            the data and a quarter more.
        image_size: Height and width of images, or both in one number; see ``image_codec``: none
            is enlarged.
        crop: How images are cut first; see ``image_codec``.
        column: SMILES column of tables.
        properties: Names out of ``molae.names.PROPERTIES``, to be computed for targets.
        workers: Processes.
        cache: Folder for the cache, instead of beside the files.
        progress: Show a bar.

    Raises:
        DataError: A file cannot be read, or nothing in it can be encoded.
        ValueError: There is no such grammar, or properties are asked for of what is no molecule.
    """
    if medium_of(files) == ImageCodec.medium:
        return _images(files, codec or base, image_size, crop, cache, progress)
    general = _general(codec or base, grammar)
    if properties and general.spelling == "text":
        raise ValueError(
            "properties are of molecules, and this grammar writes none; leave them out"
        )
    with bar("reading", progress) as show:
        encoded = [_texts(general, file, column, cache, workers, show) for file in files]
    data = join([part.data for part in encoded])
    made, data = _recoded(general, data, base, codec, max_steps)
    if properties:
        with bar("properties", progress) as show:
            tables = [computed(part, general, properties, workers, show) for part in encoded]
        data = data.with_targets(np.concatenate(tables))
    long = np.flatnonzero(data.lengths > made.max_steps)
    if len(long):
        data = data.subset(data.lengths <= made.max_steps)
    if not len(data):
        names = ", ".join(map(str, files))
        raise DataError(f"{names}: everything is longer than {_limit(made)}; allow more")
    return TrainingData(made, data, [_facts(p) for p in encoded], encoded, long, _limit(made))


def encoded_file(
    codec: AnyCodec,
    file: str | Path,
    *,
    column: str | None = None,
    cache: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Encoded[Any]:
    """What a codec makes of a file, as it is, with a cache beside the file.

    Args:
        codec: Of texts or of images.
        file: Of what the codec is for.
        column: SMILES column of a table.
        cache: Folder for the cache, instead of beside the file.
        workers: Processes.
        progress: Told how far it is.

    Raises:
        DataError: The file cannot be read, or nothing in it can be encoded.
    """
    if isinstance(codec, ImageCodec):
        return cached_images(codec, file, folder=cache, progress=progress)
    return _texts(codec, file, column, cache, workers, progress)


def _texts(
    codec: TextCodec,
    file: str | Path,
    column: str | None,
    cache: Path | None,
    workers: int,
    progress: Progress | None,
) -> Encoded[SequenceData]:
    return cached(
        codec,
        file,
        column=column,
        whole_lines=codec.spelling == "text",
        folder=cache,
        workers=workers,
        progress=progress,
    )


def data_of(encoding: Encoding | ImageEncoding) -> DataSet:
    """What a codec made of texts in memory, as a data set without keys."""
    if isinstance(encoding, ImageEncoding):
        return ImageData(encoding.pixels)
    return SequenceData(encoding.rules, encoding.offsets)


def medium_of(files: Sequence[str | Path]) -> str:
    """What files hold, as codecs call it: ``images``, or else ``sequences``.

    Raises:
        DataError: Some are images and some are not, or there are no files.
    """
    if not files:
        raise DataError("no files to train on; name at least one")
    kinds = {file: is_image_source(file) for file in files}
    if len(set(kinds.values())) > 1:
        odd = ", ".join(str(file) for file, pictured in kinds.items() if pictured)
        raise DataError(f"of the files some are images ({odd}) and others are not; name one kind")
    return ImageCodec.medium if kinds[files[0]] else GrammarCodec.medium


def _images(
    files: Sequence[str | Path],
    known: AnyCodec | None,
    size: int | Sequence[int] | None,
    crop: str | None,
    cache: Path | None,
    progress: bool,
) -> TrainingData:
    """Images at the size of a known codec, or at one that they need."""
    if not (known is None or isinstance(known, ImageCodec)):
        raise DataError(f"{files[0]}: these are images, and the run has learnt {known.items}")
    codec = _image_codec(files, size, crop) if known is None else known
    with bar("reading", progress, codec.items) as show:
        encoded = [cached_images(codec, file, folder=cache, progress=show) for file in files]
    data = join([part.data for part in encoded])
    return TrainingData(
        codec, data, [_facts(p) for p in encoded], encoded, np.zeros(0, np.int64),
        remarks=[text for file in files if (text := _surrounded(codec, file))],
    )  # fmt: skip


def _surrounded(codec: ImageCodec, file: str | Path) -> str:
    """A sentence where the first image of a source is smaller than those of a codec, else ""."""
    first = open_images(file).first() if codec.resize else None
    if first is None or not codec.surrounds(first):
        return ""
    return (
        f"{file}: images of {first.shape[0]} x {first.shape[1]} pixels are set on black at "
        f"{codec.height} x {codec.width}, not enlarged"
    )


def _image_codec(
    files: Sequence[str | Path], size: int | Sequence[int] | None, crop: str | None
) -> ImageCodec:
    """The codec of the first file, with three channels if any of the files has colours."""
    wanted = size if size is None or isinstance(size, int) else (size[0], size[-1])
    found = [image_codec(open_images(file), wanted, crop) for file in files]
    first, channels = found[0], max(codec.channels for codec in found)
    return ImageCodec(first.height, first.width, channels, first.crop, first.resize)


def _limit(codec: TextCodec) -> str:
    """How long a sequence may be, in words."""
    if isinstance(codec, CharacterCodec):
        return f"{codec.max_steps - 1} characters"
    return f"{codec.max_steps} rules"


def _general(known: AnyCodec | None, grammar: str | Path | None) -> TextCodec:
    """The codec that files are encoded with first, of the kind of a known one if there is one.

    Raises:
        DataError: That is one of images.
    """
    if isinstance(known, ImageCodec):
        raise DataError(f"the data are no images, and the run has learnt {known.items}")
    if isinstance(known, CharacterCodec):
        return characters.whole(known.spelling)
    if isinstance(known, GrammarCodec):
        return rules.whole(known.grammar)
    return characters.whole() if grammar is None else GrammarCodec(named_grammar(grammar))


def _recoded(
    general: TextCodec,
    data: SequenceData,
    base: AnyCodec | None,
    codec: AnyCodec | None,
    wanted: int | None,
) -> tuple[TextCodec, SequenceData]:
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


def _facts(part: Encoded[Any]) -> dict[str, Any]:
    return {
        "file": Path(part.source).name,
        "sha256": part.digest,
        "used": len(part.data),
        "rejected": part.rejected,
        "reasons": part.reasons,
    }


#: For callers that show sentences.
Say = Callable[[str], None]
