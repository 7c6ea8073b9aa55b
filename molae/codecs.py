"""Codecs: objects to tensors and back, each with the constraint that its decoder obeys.

A codec is text and numbers only (``to_dict``), so weights and vocabulary are saved together and never part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molae.characters import CharacterConstraint
from molae.chem.molecules import MoleculeError, canonical, kekule
from molae.chem.workers import map_chunks
from molae.grammar.cfg import Grammar
from molae.grammar.derivation import DerivationError, Deriver, SpellingError, spell
from molae.grammar.machine import GrammarConstraint
from molae.grammar.parser import deterministic_parser
from molae.grammar.restrict import restricted, tokens_in, tokens_of
from molae.grammar.valences import digest as valence_digest
from molae.resources import grammar_text
from molae.types import PAD

#: Longest derivation that a codec takes when nothing else is said; ZINC needs 91, drugs up to 300.
MAX_STEPS = 400
#: Texts that one worker parses at a time.
CHUNK = 4000


@dataclass(frozen=True)
class Reject:
    """What could not be encoded.

    Attributes:
        index: Its place in the list. text: What it was. token: Where the trouble shows, or "".
        reason: A few words, a colon, the detail.
    """

    index: int
    text: str
    token: str
    reason: str

    def __str__(self) -> str:
        """One line for a person."""
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return f"item {self.index + 1} {shown!r}: {self.reason}"


class EncodeError(ValueError):
    """Some items cannot be encoded; ``rejects`` says which and why."""

    def __init__(self, rejects: Sequence[Reject]) -> None:
        self.rejects = list(rejects)
        listed = "; ".join(map(str, self.rejects[:5]))
        more = f" and {len(self.rejects) - 5} more" if len(self.rejects) > 5 else ""
        super().__init__(f"cannot encode {len(self.rejects)} of the items: {listed}{more}")


@dataclass(frozen=True)
class Encoding:
    """Sequences of many items, end to end.

    Attributes:
        rules: (total,) uint16. offsets: (n + 1,) int64, item i is ``rules[offsets[i]:offsets[i + 1]]``.
        kept: (n,) int64, which of the given items these are. rejects: The others.
    """

    rules: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    kept: NDArray[np.int64]
    rejects: list[Reject]

    def padded(self) -> Tensor:
        """(n, T) int64, ``PAD`` after the end of each."""
        lengths = np.diff(self.offsets)
        width = int(lengths.max()) if len(lengths) else 0
        out = np.full((len(lengths), width), PAD, dtype=np.int64)
        out[np.arange(width)[None] < lengths[:, None]] = self.rules
        return torch.from_numpy(out)


class Codec(Protocol):
    """What every codec of sequences offers."""

    constraint: Any

    @property
    def size(self) -> int:
        """V."""

    @property
    def max_steps(self) -> int:
        """T."""

    @property
    def digest(self) -> str:
        """Changes whenever encoding does."""

    def parse(self, items: Sequence[str], workers: int = 1, prepared: bool = False) -> Encoding:
        """Encode what can be encoded, and say why the rest cannot."""

    def encode(self, items: Sequence[str]) -> Tensor:
        """(n, T) int64; raises ``EncodeError``."""

    def decode(self, x: Tensor) -> list[str | None]:
        """Texts; None for an unfinished sequence."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``codec_from_dict``."""


def _gather(pieces: Sequence[tuple[Any, Any, Any, list[tuple[int, str, str, str]]]]) -> Encoding:
    """Join what the workers sent: rules, lengths, kept, rejects of each chunk."""
    rules = np.concatenate([np.zeros(0, np.uint16), *(p[0] for p in pieces)])
    lengths = np.concatenate([np.zeros(0, np.int64), *(p[1] for p in pieces)])
    kept, rejects, base = [np.zeros(0, np.int64)], [], 0
    for piece in pieces:
        kept.append(piece[2] + base)
        rejects += [Reject(base + i, text, token, why) for i, text, token, why in piece[3]]
        base += len(piece[2]) + len(piece[3])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoding(rules.astype(np.uint16), offsets, np.concatenate(kept), rejects)


class _SequenceCodec:
    """What grammar and character codecs share."""

    def to_dict(self) -> dict[str, Any]:
        raise TypeError("a codec says what it is")

    def chunk(
        self, items: Sequence[str], prepared: bool
    ) -> tuple[Any, Any, Any, list[tuple[int, str, str, str]]]:
        """Encode one chunk: flat rules, lengths, kept, rejects as plain tuples."""
        raise TypeError("a codec encodes")

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides how an item is encoded."""
        known = [self.to_dict(), valence_digest(), version("rdkit"), version("molae")]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def parse(self, items: Sequence[str], workers: int = 1, prepared: bool = False) -> Encoding:
        """Encode what can be encoded, and say why the rest cannot.

        Args:
            items: Texts. workers: Processes (joblib); with 1 all is done here.
            prepared: The texts are spelt as the grammar wants them already (Kekule SMILES).
        """
        if workers == 1:
            pieces = [
                self.chunk(items[i : i + CHUNK], prepared) for i in range(0, len(items), CHUNK)
            ]
        else:
            work = partial(_chunk_elsewhere, json.dumps(self.to_dict()), prepared)
            pieces = list(map_chunks(work, items, workers, CHUNK))
        return _gather(pieces)

    def encode(self, items: Sequence[str]) -> Tensor:
        """Sequences (n, T) int64, padded with ``PAD``.

        Raises:
            EncodeError: If an item cannot be encoded; ``parse`` goes on instead.
        """
        encoding = self.parse(items)
        if encoding.rejects:
            raise EncodeError(encoding.rejects)
        return encoding.padded()


class GrammarCodec(_SequenceCodec):
    """Texts to left-most derivations of a grammar.

    Args:
        grammar: The rules. Its directive ``spelling`` says how a text is spelt before it is parsed:
            ``kekule`` (canonical Kekule SMILES), ``aromatic`` (canonical SMILES) or ``text`` (as it is).
        max_steps: Longest derivation; longer items are rejected, and no longer one is ever decoded.
        stack, budget, attributes: The masks of the constraint, see ``GrammarConstraint``.
    """

    def __init__(
        self,
        grammar: Grammar,
        max_steps: int = MAX_STEPS,
        *,
        stack: bool = True,
        budget: bool = True,
        attributes: bool = True,
    ) -> None:
        self.grammar = grammar
        self.constraint = GrammarConstraint(
            grammar, max_steps, stack=stack, budget=budget, attributes=attributes
        )
        self._parser = deterministic_parser(grammar)
        spelled = [[s for s in rule.rhs if s < 0] for rule in grammar.rules]
        self._spelling = ["".join(grammar.terminals[-1 - s] for s in row) for row in spelled]
        # Where every terminal leads its rule, the rules in order spell the text.
        self._leads = all(
            not rule.rhs or (rule.rhs[0] < 0 and all(s >= 0 for s in rule.rhs[1:]))
            for rule in grammar.rules
        )

    @property
    def size(self) -> int:
        """V, the number of rules."""
        return self.grammar.size

    @property
    def max_steps(self) -> int:
        """T, the longest derivation."""
        return self.constraint.max_steps

    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``codec_from_dict``; the grammar goes along as text with its digest."""
        constraint = self.constraint
        return {
            "kind": "grammar",
            "grammar": self.grammar.to_dict(),
            "max_steps": self.max_steps,
            "stack": constraint.stack,
            "budget": constraint.budget,
            "attributes": constraint.wanted,
        }

    def prepare(self, text: str) -> str:
        """The spelling that the grammar wants; raises ``MoleculeError``."""
        spelling = self.grammar.directives.get("spelling", "text")
        if spelling == "kekule":
            return kekule(text)
        if spelling == "aromatic":
            found = canonical(text)
            if found is None:
                raise MoleculeError("not a molecule", text)
            return found
        return text.strip()

    def chunk(
        self, items: Sequence[str], prepared: bool
    ) -> tuple[Any, Any, Any, list[tuple[int, str, str, str]]]:
        """Encode one chunk, see ``_SequenceCodec.chunk``."""
        rejects: list[tuple[int, str, str, str]] = []
        texts, rows = list(items), np.arange(len(items))
        if not prepared:
            texts, rows, rejects = _prepare(items, self.prepare)
        rules, failures = self._derive(texts)
        lengths = (rules >= 0).sum(1)
        long = lengths > self.max_steps
        for row in np.flatnonzero(long):
            failures.setdefault(
                int(row), ("", f"too long: {lengths[row]} rules, the limit is {self.max_steps}")
            )
        good = np.array([row not in failures for row in range(len(texts))], dtype=bool)
        self._check(rules, good, failures)
        rejects += [(int(rows[r]), items[rows[r]], *why) for r, why in failures.items()]
        rules = rules[good]
        flat = rules[rules >= 0].astype(np.uint16)
        return flat, (rules >= 0).sum(1), rows[good], sorted(rejects)

    def _derive(
        self, texts: list[str]
    ) -> tuple[NDArray[np.int64], dict[int, tuple[str, str]]]:
        """Derivations (n, T) and, by row, token and reason of what is no sentence."""
        if self._parser is not None:
            parsed = self._parser.parse(texts)
            why = {r: (f.token, f"not in the grammar: {f}") for r, f in parsed.failures.items()}
            return parsed.rules, why
        derive, derived, failed = Deriver(self.grammar), [], {}
        for row, text in enumerate(texts):
            try:
                derived.append(derive(text))
            except DerivationError as error:
                derived.append([])
                failed[row] = (error.token or "", f"not in the grammar: {error.reason}")
        rules = np.full((len(texts), max(map(len, derived), default=0)), PAD, dtype=np.int64)
        for row, found in enumerate(derived):
            rules[row, : len(found)] = found
        return rules, failed

    def _check(
        self,
        rules: NDArray[np.int64],
        good: NDArray[np.bool_],
        failures: dict[int, tuple[str, str]],
    ) -> None:
        """Reject what the masks would not let a decoder write; updates its arguments."""
        if not self.constraint.attributes or not good.any():
            return
        rows = np.flatnonzero(good)
        width = int((rules[rows] >= 0).sum(1).max())
        stops = self.constraint.first_illegal(torch.from_numpy(rules[rows, :width])).numpy()
        for row, step in zip(rows[stops >= 0], stops[stops >= 0], strict=True):
            token = self._spelling[rules[row, step]]
            failures[int(row)] = (token, f"valence or ring bond: step {step + 1} writes {token!r}")
            good[row] = False

    def decode(self, x: Tensor) -> list[str | None]:
        """Texts of derivations (n, T): exactly their terminals; None for one that is not complete."""
        rows = x.cpu().tolist()
        if self._leads:
            spelling = self._spelling
            done = self._complete(x)
            return [
                "".join([spelling[r] for r in row if r >= 0]) if whole else None
                for row, whole in zip(rows, done, strict=True)
            ]
        return [self._spell([r for r in row if r >= 0]) for row in rows]

    def _complete(self, x: Tensor) -> list[bool]:
        """Whether each derivation ends with an empty stack, (n,)."""
        pushes = torch.tensor([sum(s >= 0 for s in rule.rhs) - 1 for rule in self.grammar.rules])
        x = x.cpu()
        height = 1 + torch.where(x >= 0, pushes[x.clamp(min=0)], 0).sum(1)
        ended: list[bool] = (height == 0).tolist()
        return ended

    def _spell(self, rules: list[int]) -> str | None:
        try:
            return spell(self.grammar, rules)
        except SpellingError:
            return None


class CharacterCodec(_SequenceCodec):
    """Texts to characters, as the character VAE of Gomez-Bombarelli et al. 2018 has them.

    Args:
        alphabet: The characters, in order; an end mark is added behind them.
        max_steps: Longest text, the end mark included.
    """

    def __init__(self, alphabet: str, max_steps: int = 121) -> None:
        self.alphabet = alphabet
        self.constraint = CharacterConstraint(len(alphabet) + 1, max_steps)
        self._code = {character: code for code, character in enumerate(alphabet)}

    @property
    def size(self) -> int:
        """V, characters and the end mark."""
        return len(self.alphabet) + 1

    @property
    def max_steps(self) -> int:
        """T, the longest text with its end mark."""
        return self.constraint.max_steps

    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``codec_from_dict``."""
        return {"kind": "characters", "alphabet": self.alphabet, "max_steps": self.max_steps}

    def chunk(
        self, items: Sequence[str], prepared: bool
    ) -> tuple[Any, Any, Any, list[tuple[int, str, str, str]]]:
        """Encode one chunk, see ``_SequenceCodec.chunk``."""
        rows, codes = [], []
        rejects: list[tuple[int, str, str, str]] = []
        for row, item in enumerate(items):
            text = item.strip()
            unknown = next((c for c in text if c not in self._code), None)
            if unknown is not None:
                rejects.append((row, item, unknown, f"unknown character: {unknown!r}"))
            elif len(text) >= self.max_steps:
                limit = self.max_steps - 1
                rejects.append((row, item, "", f"too long: {len(text)} characters, limit {limit}"))
            else:
                rows.append(row)
                codes.append([*(self._code[c] for c in text), len(self.alphabet)])
        flat = np.array([c for code in codes for c in code], dtype=np.uint16)
        lengths = np.array([len(code) for code in codes], dtype=np.int64)
        return flat, lengths, np.array(rows, dtype=np.int64), rejects

    def decode(self, x: Tensor) -> list[str | None]:
        """Texts of (n, T); None where the end mark is missing."""
        end, out = len(self.alphabet), []
        for row in x.cpu().tolist():
            text = [c for c in row if c >= 0]
            whole = bool(text) and text[-1] == end
            out.append("".join(self.alphabet[c] for c in text[:-1]) if whole else None)
        return out


def _prepare(
    items: Sequence[str], prepare: Callable[[str], str]
) -> tuple[list[str], NDArray[np.int64], list[tuple[int, str, str, str]]]:
    """Spell every item as the grammar wants it: texts, their places, and rejects."""
    texts, rows, rejects = [], [], []
    for row, item in enumerate(items):
        try:
            texts.append(prepare(item))
            rows.append(row)
        except MoleculeError as error:
            detail = f": {error.detail}" if error.detail else ""
            rejects.append((row, item, "", error.reason + detail))
    return texts, np.array(rows, dtype=np.int64), rejects


@lru_cache(maxsize=4)
def _codec_from_json(text: str) -> _SequenceCodec:
    return codec_from_dict(json.loads(text))


def _chunk_elsewhere(
    text: str, prepared: bool, items: Sequence[str]
) -> tuple[Any, Any, Any, list[tuple[int, str, str, str]]]:
    """``chunk`` in a worker process, which keeps the codec from call to call."""
    torch.set_num_threads(1)
    return _codec_from_json(text).chunk(items, prepared)


def codec_from_dict(saved: dict[str, Any]) -> GrammarCodec | CharacterCodec:
    """The codec that ``to_dict`` described.

    Raises:
        ValueError: If the kind is unknown. GrammarError: If text and digest do not agree.
    """
    if saved.get("kind") == "characters":
        return CharacterCodec(str(saved["alphabet"]), int(saved["max_steps"]))
    if saved.get("kind") == "grammar":
        return GrammarCodec(
            Grammar.from_dict(saved["grammar"]),
            int(saved["max_steps"]),
            stack=bool(saved.get("stack", True)),
            budget=bool(saved.get("budget", True)),
            attributes=bool(saved.get("attributes", True)),
        )
    raise ValueError(f"codec of kind {saved.get('kind')!r}: expected 'grammar' or 'characters'")


def shipped_codec(name: str, max_steps: int = MAX_STEPS) -> GrammarCodec:
    """The codec of a shipped grammar, unrestricted (``smiles``, ``zinc``, ``equation``)."""
    return GrammarCodec(Grammar.from_text(grammar_text(name), name), max_steps)


def restricted_codec(
    kekule_texts: Sequence[str],
    *,
    max_steps: int | None = None,
    base: GrammarCodec | None = None,
) -> GrammarCodec:
    """The codec of the restricted grammar that some Kekule SMILES need.

    Args:
        kekule_texts: As ``GrammarCodec.decode`` of the general codec gives them.
        max_steps: Longest derivation; None takes the longest given and a quarter more.
        base: A codec to grow: its tokens and its length are kept.
    """
    tokens = tokens_of(kekule_texts)
    grammar = restricted(tokens)
    longest = GrammarCodec(grammar).parse(list(kekule_texts), prepared=True)
    steps = int(np.diff(longest.offsets).max()) if len(longest.kept) else 1
    wanted = max_steps or min(MAX_STEPS, steps + max(10, steps // 4))
    if base is not None:
        tokens |= tokens_in(base.grammar)
        grammar, wanted = restricted(tokens), max(wanted, base.max_steps)
    return GrammarCodec(grammar, wanted)
