"""What scores a text, and what it says of each.

An oracle takes texts (canonical SMILES, or whatever a grammar describes) and answers for each of
them. What is wrong with one text (it cannot be read, the program fails, the score is NaN) is part
of its answer and never an exception, so that a campaign of weeks does not end by one molecule.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: What somebody else's code may end with: also ``sys.exit`` must not end the campaign.
FAILURES = (Exception, SystemExit)
#: Characters of an error that are kept: it stands in one cell of a table.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What an oracle says of one text: a score, or why there is none.

    Attributes:
        score: Finite; NaN where there is an error. Higher is better.
        parts: What the score was made of, by name; NaN where a part could not be had.
        error: Why there is no score, in one line, or None: an exception, a timeout, a score that
            is not finite, an unmet requirement.

    Raises:
        ValueError: If an error is given together with a finite score.
    """

    score: float
    parts: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None

    def __post_init__(self) -> None:
        if math.isfinite(self.score):
            if self.error is not None:
                raise ValueError(f"score {self.score} with the error {self.error!r}: choose one")
        elif self.error is None:
            object.__setattr__(self, "error", f"the score is {self.score}")
        if not math.isfinite(self.score):
            object.__setattr__(self, "score", math.nan)

    @property
    def failed(self) -> bool:
        """Whether there is no score."""
        return self.error is not None


class OracleError(Exception):
    """Why there are no scores, in a sentence that needs no name of an exception before it."""


def failure(error: BaseException | str, parts: Mapping[str, float] | None = None) -> Answer:
    """The answer where something went wrong: no score, and the reason in one line.

    Args:
        error: A sentence, or an exception, of which type and message are kept.
        parts: What could be computed nevertheless.
    """
    text = error if isinstance(error, str) else described(error)
    line = " ".join(text.split())
    short = line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
    return Answer(math.nan, dict(parts or {}), short or "failed without a word")


def described(error: BaseException) -> str:
    """Type and message of an exception; of an ``OracleError``, the message."""
    message = str(error)
    if isinstance(error, OracleError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def each_alone(ask: Callable[[Sequence[str]], list[Answer]], texts: Sequence[str]) -> list[Answer]:
    """``ask`` of all texts at once and, where that raises, of each by itself.

    So one bad text costs only itself, at the price of asking twice about the others.

    Args:
        ask: Answers for some texts, or raises one of ``FAILURES``.
        texts: N texts.

    Returns:
        N answers; an exception that came up for a single text is its error.
    """
    if not texts:
        return []
    try:
        return ask(texts)
    except FAILURES as error:
        if len(texts) == 1:
            return [failure(error)]
    return [answer for text in texts for answer in each_alone(ask, [text])]


class Oracle(ABC):
    """Scores texts; higher is better.

    An oracle can be sent to other processes. The same text gets the same score each time, or the
    cache makes it so.

    Attributes:
        reads: What the texts have to be, as codecs call their ``items``; None for anything.
        together: Whether texts are best given many at once, since somebody else's code is asked,
            which may take long to start.
    """

    reads: str | None = None
    together: bool = False

    @property
    @abstractmethod
    def name(self) -> str:
        """The oracle as a person would type it."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the parts of every answer, as far as they are known beforehand."""

    @abstractmethod
    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """An answer for each text, in order; never raises for what is wrong with one text."""

    @property
    def settings(self) -> dict[str, Any]:
        """What a score depends on besides the name, as JSON values: versions, digests of files."""
        return {}

    @property
    def key(self) -> str:
        """64 hexadecimal digits that change with whatever may change a score: for the cache."""
        known = [type(self).__name__, self.name, self.settings]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
