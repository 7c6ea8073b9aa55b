"""How far it is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

#: Seconds between two lines where there is no terminal.
INTERVAL = 30.0


def clock(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Shows step, loss, examples per second and time left on standard error.

    Args:
        enabled: False shows nothing.
        unit: What an example is called, in the plural.
        console: Where to write; standard error by default.
    """

    def __init__(self, enabled: bool, unit: str, console: Console | None = None) -> None:
        self.unit = unit
        self._enabled = enabled
        self._console = console or Console(file=sys.stderr)
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._rate = 0.0
        self._pace = 0.0
        self._said = time.monotonic()

    def __enter__(self) -> Progress:
        if self._enabled and self._console.is_terminal:
            self._bar = Bar(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.fields[state]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, state="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def measure(self, examples: int, seconds: float) -> None:
        """One step took so long; rates are averaged over the last twenty or so."""
        seconds = max(seconds, 1e-9)
        keep = 0.95 if self._rate else 0.0
        self._pace = keep * self._pace + (1 - keep) * seconds
        self._rate = keep * self._rate + (1 - keep) * examples / seconds

    def show(self, step: int, total: int | None, loss: float) -> None:
        """Bring the display up to date."""
        if not self._enabled:
            return
        if self._bar is not None:
            state = self._state(step, total, loss)
            self._bar.update(self._task, completed=step, total=total, state=state)
        elif time.monotonic() - self._said >= INTERVAL:
            self._said = time.monotonic()
            of = "" if total is None else f"/{total}"
            print(f"step {step}{of}  {self._state(step, total, loss)}", file=self._console.file)

    def _state(self, step: int, total: int | None, loss: float) -> str:
        left = "measuring" if total is None else f"{clock((total - step) * self._pace)} left"
        return f"loss {loss:.3f}  {self._rate:,.0f} {self.unit}/s  {left}"
