"""How fast are candidate back-bones? Forward and backward, fp32 and bf16, entries a second.

    python -m benchmarks.backbones

The winners are the defaults of molae.nn. An entry is one rule of one molecule.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.record import record
from molae.nn.sequence import (
    AutoregressiveDecoder,
    ConvolutionalEncoder,
    FeedForwardDecoder,
    RecurrentEncoder,
)

SIZE, LATENT = 100, 56


class Free:
    """No constraint: what is timed is the network."""

    size = SIZE

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def mask(self, x: Tensor) -> Tensor:
        """All true, (B, T, V)."""
        return torch.ones(*x.shape, SIZE, dtype=torch.bool, device=x.device)


class Recurrence(nn.Module):
    """A bare recurrent layer on embedded entries."""

    def __init__(self, kind: type[nn.GRU | nn.LSTM], hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SIZE + 1, 128)
        self.core = kind(128, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) -> (T, B, H)."""
        out: Tensor = self.core(self.embedding(x.t() + 1))[0]
        return out


class DilatedConvolutions(nn.Module):
    """Six gated causal convolutions with dilations 1, 2, 4, 8, 16, 32."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SIZE + 1, hidden)
        self.layers = nn.ModuleList(
            nn.Conv1d(hidden, 2 * hidden, 3, dilation=2**power, padding=2 * 2**power)
            for power in range(6)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) -> (B, H, T)."""
        h: Tensor = self.embedding(x + 1).transpose(1, 2)
        for layer in self.layers:
            h = h + nn.functional.glu(layer(h)[..., : x.shape[1]], 1)
        return h


class Transformer(nn.Module):
    """Four causal layers."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SIZE + 1, hidden)
        layer = nn.TransformerEncoderLayer(hidden, hidden // 64, 4 * hidden, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) -> (B, T, H)."""
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        out: Tensor = self.layers(self.embedding(x + 1), mask, is_causal=True)
        return out


def candidates(steps: int) -> dict[str, Callable[[], nn.Module]]:
    """What is timed, by name; built when its turn comes."""
    free: Any = Free(steps)
    return {
        "GRU 256": lambda: Recurrence(nn.GRU, 256),
        "GRU 384": lambda: Recurrence(nn.GRU, 384),
        "GRU 512": lambda: Recurrence(nn.GRU, 512),
        "LSTM 512": lambda: Recurrence(nn.LSTM, 512),
        "six dilated convolutions 256": lambda: DilatedConvolutions(256),
        "four transformer layers 256": lambda: Transformer(256),
        "RecurrentEncoder (default)": lambda: RecurrentEncoder(SIZE),
        "ConvolutionalEncoder (paper)": lambda: ConvolutionalEncoder(SIZE, steps),
        "AutoregressiveDecoder (default)": lambda: AutoregressiveDecoder(SIZE, LATENT, free),
        "FeedForwardDecoder (paper)": lambda: FeedForwardDecoder(SIZE, LATENT, free),
    }


def seconds(module: nn.Module, x: Tensor, low: bool, repeats: int) -> float:
    """The best time of one forward and backward pass."""
    z = torch.randn(len(x), LATENT, device=x.device)
    decodes = isinstance(module, AutoregressiveDecoder | FeedForwardDecoder)
    times = []
    for _ in range(repeats + 1):  # the first one warms up and does not count
        began = time.perf_counter()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            out = module(z).log_prob(x) if decodes else module(x)
            total = out.float().sum()
        total.backward()
        if x.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def main() -> None:
    """Time all candidates and leave a result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    x = torch.randint(SIZE, (options.batch_size, options.steps), device=options.device)
    rates: dict[str, dict[str, int]] = {}
    for name, build in candidates(options.steps).items():
        module = build().to(options.device)
        rates[name] = {
            label: round(x.numel() / seconds(module, x, low, options.repeats))
            for label, low in (("fp32", False), ("bf16", True))
        }
        print(f"{name:35}", *(f"{label} {rate:>10,}/s" for label, rate in rates[name].items()))
    settings = {**vars(options), "threads": torch.get_num_threads(), "seed": 0}
    print(record("backbones", {"settings": settings, "entries_per_second": rates}))


if __name__ == "__main__":
    main()
