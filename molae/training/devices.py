"""Where and in what precision: Accelerate, kept to what the loop needs of it."""

from __future__ import annotations

import atexit
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import AutocastKwargs, broadcast, is_bf16_available
from torch import Tensor

from molae.names import pick

PRECISIONS = ("auto", "fp32", "bf16")

#: bf16 is taken where a step takes at most this fraction of its time in fp32.
WORTHWHILE = 0.9

#: How often the steps are timed in each precision.
TRIALS = 2


def devices() -> list[str]:
    """The names that ``device`` may have on this machine, besides ``auto``."""
    names = ["cpu"]
    if torch.cuda.is_available():
        names += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


def device_named(name: str) -> torch.device:
    """A device by its name; ``auto`` is the best there is.

    Raises:
        ValueError: It is not there.
    """
    there = devices()
    if name == "auto":
        return torch.device("cuda" if "cuda" in there else there[-1])
    return torch.device(pick(dict.fromkeys(there), name, "device of this machine"))


class Hardware:
    """One process's device, its autocast, and the sums over all processes.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: ``auto``, ``fp32`` or ``bf16``; ``auto`` is fp32 until ``precision`` is set.

    Attributes:
        device: The device of this process.
        precision: ``fp32`` or ``bf16``; may be changed between steps.
        rank: This process among ``world``.
        world: Number of processes, as started by ``accelerate launch`` or ``torchrun``.

    Raises:
        ValueError: The device or precision is unknown or not there.
    """

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        there = devices()
        if device != "auto" and device not in there:
            raise ValueError(
                f"device {device!r} is not there; this machine has {', '.join(there)} "
                "('auto' takes the best)"
            )
        if precision not in PRECISIONS:
            raise ValueError(f"unknown precision {precision!r}; there are {', '.join(PRECISIONS)}")
        cpu = device == "cpu" or there == ["cpu"]
        self._accelerator = _accelerator(device, cpu)
        self.device = self._accelerator.device
        self.rank = self._accelerator.process_index
        self.world = self._accelerator.num_processes
        self.has_bf16 = self._accelerator.mixed_precision == "bf16"
        if precision == "bf16" and not self.has_bf16:
            raise ValueError(f"{self.device} has no bf16; use precision 'fp32' or 'auto'")
        self.precision = "bf16" if precision == "bf16" else "fp32"

    @property
    def main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return bool(self.rank == 0)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of a forward pass.

        The loop enters it itself: Accelerate's own wraps ``forward`` only, and a model here is
        used by its verbs.
        """
        handler = AutocastKwargs(enabled=self.precision == "bf16")
        context: contextlib.AbstractContextManager[Any] = self._accelerator.autocast(handler)
        return context

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes, the same bits on each."""
        if self.world == 1:
            return tensor
        return self._accelerator.reduce(tensor, reduction="sum")  # type: ignore[no-any-return]

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.world == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self.device)).item())

    def from_main(self, value: float) -> float:
        """The value that the main process has."""
        if self.world == 1:
            return value
        box = torch.tensor(value, dtype=torch.float32, device=self.device)
        return float(broadcast(box).item())

    def align(self, modules: Iterable[torch.nn.Module]) -> None:
        """Give every process the main process's parameters and buffers."""
        if self.world == 1:
            return
        with torch.no_grad():
            for module in modules:
                for tensor in module.state_dict().values():
                    tensor.copy_(broadcast(tensor.detach().clone()))

    def share(self, weight: Tensor) -> Tensor:
        """This process's share of the weights of all, (); 1 where there is no other.

        With the sum of the weights of a slice, the sum over processes of what is multiplied with
        it is exact for a weighted mean, and slices of unequal size.
        """
        return torch.ones_like(weight) if self.world == 1 else weight / self.sum(weight)

    def add(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their sums over all processes, by one all-reduce."""
        if self.world == 1 or not tensors:
            return
        flat = self.sum(torch.cat([t.reshape(-1).float() for t in tensors]))
        parts = torch.split(flat, [t.numel() for t in tensors])
        with torch.no_grad():
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def random_state(self) -> dict[str, Tensor]:
        """States of torch's generators of all processes, each (world, n) uint8."""
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.world == 1:
            return {name: state[None] for name, state in states.items()}
        gather = self._accelerator.gather
        return {name: gather(state.to(self.device)[None]).cpu() for name, state in states.items()}

    def restore_random_state(self, states: dict[str, Tensor]) -> None:
        """Go on with the random numbers of this process; one that is new keeps its seed."""
        if self.rank >= len(states["cpu"]):
            return
        # Copies: torch 2.13 reads a row of a table from the table's beginning, and may crash.
        torch.set_rng_state(states["cpu"][self.rank].clone())
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"][self.rank].clone(), self.device)

    @contextlib.contextmanager
    def own_random_numbers(self, seed: int) -> Iterator[None]:
        """A stretch that draws from its own seed and leaves the training's generators alone."""
        cuda = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            yield

    def wait(self) -> None:
        """Until every process is here."""
        self._accelerator.wait_for_everyone()

    def clock(self) -> float:
        """Seconds on a steady clock, after all work given to the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    def probe(self, steps: Sequence[Callable[[], object]], patience: float = 20.0) -> str:
        """Time some real steps in fp32 and in bf16; the precision that is worth taking.

        The steps change weights: the caller puts them back.

        Args:
            steps: Each makes one step. The first is also made once before the measuring.
            patience: Seconds after which no further round of trials is begun.
        """
        start = self.clock()
        best = self._trial(steps[:1])  # Memory is allocated, kernels are chosen.
        for trial in range(TRIALS):
            if self.any(self.clock() - start > patience):
                break
            # In turns, and the best of each: what slows the machine for a moment slows both or
            # is not counted.
            times = self._trial(steps)
            best = times if trial == 0 else {name: min(best[name], times[name]) for name in best}
        worth = best["bf16"] <= WORTHWHILE * best["fp32"]
        return "bf16" if self.from_main(float(worth)) else "fp32"

    def _trial(self, steps: Sequence[Callable[[], object]]) -> dict[str, float]:
        """Seconds that these steps take in each precision."""
        times = {}
        for name in ("fp32", "bf16"):
            self.precision = name
            start = self.clock()
            for step in steps:
                step()
            times[name] = self.clock() - start
        return times


def _accelerator(device: str, cpu: bool) -> Accelerator:
    """Accelerate keeps one state per process; begin anew where another device is asked for."""
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)
    mixed = "bf16" if is_bf16_available() else "no"
    if PartialState._shared_state:
        state = PartialState()
        if (state.device.type == "cpu") != cpu:
            AcceleratorState._reset_state(reset_partial_state=True)
        elif AcceleratorState._shared_state and AcceleratorState().mixed_precision != mixed:
            AcceleratorState._reset_state()
    # cpu=True also on a machine that has nothing else: only then does Accelerate join the
    # processes started by torchrun into one group.
    distributed = torch.distributed.is_available()
    ours = distributed and not torch.distributed.is_initialized()
    accelerator = Accelerator(cpu=cpu, mixed_precision=mixed)
    if ours and torch.distributed.is_initialized():
        atexit.register(_leave)
    return accelerator


def _leave() -> None:
    """End the group of processes before Python ends.

    A thread of gloo lets go of the last tensor it sent a moment after everyone has it, and for
    that needs Python's lock: if Python is being taken down by then, the process aborts (seen once
    in fifty short runs, torch 2.13). While we sleep, the thread gets the lock.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    time.sleep(0.2)
