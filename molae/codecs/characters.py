"""Plain characters: the codec, and its constraint, by which anything goes until the end mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from molae.codecs.base import Piece, Reject, SequenceCodec, spelt, spelt_each
from molae.draws import choose


@dataclass
class CharacterState:
    """n texts in the making: steps taken and whether the end mark was written, (n,) each."""

    steps: Tensor
    ended: Tensor


class CharacterConstraint:
    """All characters are legal; at the last step only the end mark, the last of ``size`` entries.

    Args:
        size: V, characters and end mark.
        max_steps: T, the longest text with its end mark.
    """

    def __init__(self, size: int, max_steps: int) -> None:
        self.size, self.max_steps = size, max_steps

    def start(self, n: int, device: torch.device | str = "cpu") -> CharacterState:
        """n empty texts."""
        return CharacterState(
            torch.zeros(n, dtype=torch.int64, device=device),
            torch.zeros(n, dtype=torch.bool, device=device),
        )

    def allowed(self, state: CharacterState) -> Tensor:
        """Legal entries, (n, V) bool; none where the text has ended."""
        last = (state.steps >= self.max_steps - 1)[:, None]
        legal = (~last).repeat(1, self.size)
        legal[:, -1] = True
        return legal & ~state.ended[:, None]

    def choose(
        self,
        state: CharacterState,
        logits: Tensor,
        *,
        seed: int | None,
        index: Tensor,
        step: Tensor,
        temperature: float = 1.0,
    ) -> Tensor:
        """One legal entry a row, see ``draws.choose``: (n, V) -> (n,)."""
        legal = self.allowed(state)
        return choose(logits, legal, seed=seed, index=index, step=step, temperature=temperature)

    def advance(self, state: CharacterState, rule: Tensor) -> CharacterState:
        """Write one entry (n,) int64 in every row; rows with ``PAD`` stay."""
        state.steps = state.steps + (rule >= 0)
        state.ended = state.ended | (rule == self.size - 1)
        return state

    def finished(self, state: CharacterState) -> Tensor:
        """Rows that have ended, (n,) bool."""
        return state.ended

    def mask(self, x: Tensor) -> Tensor:
        """Legal entries at every position: (B, T) -> (B, T, V) bool."""
        steps = torch.arange(x.shape[1], device=x.device)
        legal = (steps < self.max_steps - 1)[None, :, None].repeat(len(x), 1, self.size)
        legal[..., -1] = True
        return legal & (x >= 0)[..., None]

    def take(self, state: CharacterState, rows: Tensor) -> CharacterState:
        """The states of some rows, as new tensors."""
        return CharacterState(state.steps[rows], state.ended[rows])

    def put(self, state: CharacterState, rows: Tensor, new: CharacterState) -> None:
        """Overwrite rows in place."""
        state.steps[rows] = new.steps
        state.ended[rows] = new.ended


class CharacterCodec(SequenceCodec):
    """Texts to characters, as the character VAE of Gomez-Bombarelli et al. 2018 has them.

    Args:
        alphabet: The characters, in order; an end mark is added behind them.
        max_steps: Longest text, the end mark included.
        spelling: How a text is spelt before it is encoded, see ``molae.codecs.base.spelt``:
            ``aromatic`` for molecules, which are canonicalised then, or ``text``.
    """

    entry = "characters"
    limits = "any text of its characters may come out, whether it is a molecule or not"

    def __init__(self, alphabet: str, max_steps: int = 121, spelling: str = "text") -> None:
        self.alphabet, self.spelling = alphabet, spelling
        self.constraint: CharacterConstraint = CharacterConstraint(len(alphabet) + 1, max_steps)
        self._code = {character: code for code, character in enumerate(alphabet)}

    @property
    def longest(self) -> str:
        """How long a text may be: the end mark is no part of it."""
        return f"{self.max_steps - 1} characters"

    @property
    def entries(self) -> list[str]:
        """The characters, and "" for the end mark."""
        return [*self.alphabet, ""]

    def to_dict(self) -> dict[str, Any]:
        """JSON values for ``from_dict``."""
        return {
            "kind": "characters",
            "alphabet": self.alphabet,
            "max_steps": self.max_steps,
            "spelling": self.spelling,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The codec that ``to_dict`` described."""
        spelling = str(saved.get("spelling", "text"))
        return cls(str(saved["alphabet"]), int(saved["max_steps"]), spelling)

    def chunk(self, items: Sequence[str], prepared: bool) -> Piece:
        """Encode one chunk, see ``SequenceCodec.chunk``."""
        spelling = "text" if prepared else self.spelling
        texts, places, rejects = spelt_each(items, partial(spelt, spelling=spelling))
        rows: list[int] = []
        codes: list[list[int]] = []
        for row, text in zip(places.tolist(), texts, strict=True):
            unknown = next((c for c in text if c not in self._code), None)
            if unknown is not None:
                why = f"unknown character: {unknown!r}"
                rejects.append(Reject(row, items[row], unknown, why))
            elif len(text) >= self.max_steps:
                why = f"too long: {len(text)} characters, limit {self.max_steps - 1}"
                rejects.append(Reject(row, items[row], "", why))
            else:
                rows.append(row)
                codes.append([*(self._code[c] for c in text), len(self.alphabet)])
        rejects.sort(key=lambda reject: reject.index)
        flat = np.array([c for code in codes for c in code], dtype=np.uint16)
        lengths = np.array([len(code) for code in codes], dtype=np.int64)
        return Piece(flat, lengths, np.array(rows, dtype=np.int64), rejects)

    def decode(self, x: Tensor) -> list[str | None]:
        """Texts of (n, T); None where the end mark is missing."""
        end = len(self.alphabet)
        out: list[str | None] = []
        for row in x.cpu().tolist():
            text = [c for c in row if c >= 0]
            whole = bool(text) and text[-1] == end
            out.append("".join(self.alphabet[c] for c in text[:-1]) if whole else None)
        return out
