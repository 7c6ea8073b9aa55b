"""The halves of a ConvDRAW: an image is looked at, and written, in several steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from molae.distributions import NormalPosterior
from molae.nn.image import in_tiles, plan, scaled
from molae.nn.image_likelihood import PixelLikelihood, PixelModel

#: Log-variances are kept within (-12, 12), smoothly, as in ``NormalHead``.
_BOUND = 12.0

#: Width of a context, 0 for none, or the shape (C, H, W) of one that is an image.
Context = int | Sequence[int]


def code_unit(shape: Sequence[int], steps: int) -> int:
    """Numbers of the smallest code of images (C, H, W): one for each place and step."""
    return steps * prod(plan(shape, 1.0)[0][-1])


@dataclass
class State:
    """Of n images that are being written: the decoder's cell, and the canvas.

    Attributes:
        h: What the cell puts out, (n, F, h, w).
        c: What it remembers, (n, F, h, w).
        canvas: Logits of the means so far, (n, C, H, W).
    """

    h: Tensor
    c: Tensor
    canvas: Tensor


#: ``choose(step, p(z_t | before), state) -> z_t (n, d)``
Choose = Callable[[int, NormalPosterior, State], Tensor]


class DrawDecoder(nn.Module):
    """p(z_t | z_1 ... z_t-1) and p(x | z): each step reads its part of the code and adds strokes.

    With h the output of a convolutional LSTM and r the canvas, of logits, in step t

        p(z_t | before) = N(z_t; mean(h), scale(h)^2),   h <- cell(z_t, h),   r <- r + write(h),

    and p(x|z) has the means sigmoid(r) after the last. A context is put beside what the cell and
    p(z_t | before) see.

    Args:
        shape: (C, H, W).
        latent: D, the width of the whole code: a multiple of ``steps`` and of the places of the
            map (h, w), which is the image, halved until its sides are 7 or less.
        steps: T.
        channels: F, of the cell.
        kernel: Side of its convolutions, odd.
        multiplier: Of all channels.
        context: See ``Context``.
        likelihood, sigma: See ``PixelModel``.
        tile: Images that are written together when nothing is learnt, see ``in_tiles``.

    Raises:
        ValueError: D is no such multiple, or a number out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        *,
        steps: int = 8,
        channels: int = 32,
        kernel: int = 5,
        multiplier: float = 1.0,
        context: Context = 0,
        likelihood: str = "gaussian",
        sigma: float | None = None,
        tile: int = 64,
    ) -> None:
        super().__init__()
        if steps < 1 or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"steps must be 1 or more and kernel odd, got {steps} and {kernel}")
        self.shape, self.latent, self.steps, self.tile = tuple(shape), latent, steps, tile
        sides, counts = plan(self.shape, multiplier)
        unit = code_unit(self.shape, steps)
        if latent < unit or latent % unit:
            raise ValueError(
                f"codes of {steps} steps on maps of {sides[-1][0]} by {sides[-1][1]} have "
                f"{unit:,} numbers or a multiple, and {latent:,} were asked for: use the "
                f"latent_dim {unit * max(1, round(latent / unit)):,}, or fewer steps"
            )
        depth, width = latent // unit, scaled(channels, multiplier)
        self.map = (depth, *sides[-1])
        self.reader = ContextMap(context, self.shape, multiplier)
        beside = self.reader.channels
        self.prior = gaussian(width + beside, depth)
        self.cell = Cell(depth + beside, width, kernel)
        parts: list[nn.Module] = []
        last = [width, *counts[-2:0:-1], self.shape[0]]
        for stage, (before, after) in enumerate(pairwise(last)):
            high, wide = sides[len(sides) - 2 - stage]
            odd = (high % 2, wide % 2)
            up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, output_padding=odd)
            parts += [up, nn.ReLU()]
        if len(sides) == 1:  # nothing was halved
            parts = [nn.Conv2d(width, self.shape[0], 3, padding=1), nn.ReLU()]
        self.write = nn.Sequential(*parts[:-1])
        self.pixels = PixelModel(likelihood, sigma)

    def forward(self, z: Tensor, context: Tensor | None = None) -> PixelLikelihood:
        """p(x|z) for codes z (*S, B, D) and contexts (B, ...)."""
        lead = z.shape[:-1]
        told = self.told(context, lead)
        code, width = z.reshape(-1, self.latent), self.latent

        def canvas(rows: Tensor) -> Tensor:
            parts = rows[:, :width].reshape(len(rows), self.steps, -1)
            return self.unroll(self._unpacked(rows[:, width:]), lambda t, p, s: parts[:, t]).canvas

        rows = torch.cat([code, told.flatten(1).to(code)], 1)
        logits = in_tiles(canvas, rows, self.tile, self.training)
        likelihood: PixelLikelihood = self.pixels(logits.view(*lead, *self.shape))
        return likelihood

    def told(self, context: Tensor | None, lead: Sequence[int]) -> Tensor:
        """The context as a map, one for each code: (B, ...) -> (N, K, h, w) for lead (*S, B).

        Raises:
            ValueError: It is missing, not expected, or of another shape.
        """
        if context is None and not self.reader.channels:
            return self.cell.gates.weight.new_zeros(prod(lead), 0, *self.map[1:])
        found: Tensor = self.reader(context)
        return found.expand(*lead, *found.shape[1:]).reshape(-1, *found.shape[1:])

    def unroll(self, told: Tensor, choose: Choose) -> State:
        """All steps: the state after the last.

        Args:
            told: Maps of the context, (n, K, h, w).
            choose: Gives the part of the code of each step.
        """
        n, high, wide = len(told), *self.map[1:]
        blank = told.new_zeros(n, self.cell.width, high, wide)
        state = State(blank, blank, told.new_zeros(n, *self.shape))
        for step in range(self.steps):
            p = normal(self.prior, torch.cat([state.h, told], 1))
            z = choose(step, p, state).view(n, *self.map)
            h, c = self.cell(torch.cat([z, told], 1), state.h, state.c)
            state = State(h, c, state.canvas + self.write(h).float())
        return state

    def draw(self, noise: Tensor, told: Tensor) -> Tensor:
        """Codes of p(z) from standard normal noise (n, D) and maps (n, K, h, w), (n, D)."""

        def codes(rows: Tensor) -> Tensor:
            parts = rows[:, : self.latent].reshape(len(rows), self.steps, -1)
            found: list[Tensor] = []

            def choose(step: int, p: NormalPosterior, state: State) -> Tensor:
                found.append(p.center + p.scale * parts[:, step])
                return found[-1]

            self.unroll(self._unpacked(rows[:, self.latent :]), choose)
            return torch.cat(found, 1)

        return in_tiles(codes, torch.cat([noise, told.flatten(1)], 1), self.tile, False)

    def _unpacked(self, rows: Tensor) -> Tensor:
        return rows.view(len(rows), self.reader.channels, *self.map[1:])


class DrawEncoder(nn.Module):
    """What is seen in a step: the image, what is missing on the canvas, and the decoder's state.

    Args:
        shape: (C, H, W).
        decoder: That it belongs to.
        channels: F, of the cell, before they are multiplied.
        kernel: Side of its convolutions.
        multiplier: Of all channels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        decoder: DrawDecoder,
        *,
        channels: int,
        kernel: int,
        multiplier: float,
    ) -> None:
        super().__init__()
        self.look, seen = halvings((2 * shape[0], *shape[1:]), multiplier)
        beside = decoder.cell.width + decoder.reader.channels
        self.cell = Cell(seen + beside, scaled(channels, multiplier), kernel)
        self.width = self.cell.width
        """Channels of what the head sees."""

    def forward(
        self, x: Tensor, state: State, told: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The cell's h and c (n, F, h, w) after looking at x (n, C, H, W)."""
        missing = x - torch.sigmoid(state.canvas)
        seen = self.look(torch.cat([x, missing], 1))
        found: tuple[Tensor, Tensor] = self.cell(torch.cat([seen, state.h, told], 1), h, c)
        return found


class Cell(nn.Module):
    """A convolutional LSTM (Shi et al., NeurIPS 2015), without peepholes.

    Args:
        inputs: Channels that come in.
        width: F, channels of state and output.
        kernel: Side, odd.
    """

    def __init__(self, inputs: int, width: int, kernel: int) -> None:
        super().__init__()
        self.width = width
        self.gates = nn.Conv2d(inputs + width, 4 * width, kernel, padding=kernel // 2)
        with torch.no_grad():  # remember at first
            self.gates.bias[width : 2 * width] = 1.0  # type: ignore[index]

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """h and c (n, F, h, w) after an input x (n, ..., h, w)."""
        into, keep, out, new = self.gates(torch.cat([x, h.to(x)], 1)).float().chunk(4, 1)
        c = torch.sigmoid(keep) * c + torch.sigmoid(into) * torch.tanh(new)
        return torch.sigmoid(out) * torch.tanh(c), c


class ContextMap(nn.Module):
    """A context as a map of the size that cells have: an image halved, or numbers everywhere.

    Args:
        context: See ``Context``.
        shape: (C, H, W) of the images.
        multiplier: Of channels.

    Raises:
        ValueError: A context image has another size than the images.
    """

    def __init__(self, context: Context, shape: Sequence[int], multiplier: float) -> None:
        super().__init__()
        self.expected = (context,) if isinstance(context, int) else tuple(context)
        self.channels, self.read = 0, nn.Identity()
        if self.expected == (0,):
            return
        if len(self.expected) == 1:
            self.channels = scaled(16, multiplier)
            self.read = nn.Sequential(  # type: ignore[assignment]
                nn.Linear(self.expected[0], self.channels), nn.Unflatten(1, (self.channels, 1, 1))
            )
        elif self.expected[1:] == tuple(shape[1:]):
            self.read, self.channels = halvings(self.expected, multiplier)  # type: ignore[assignment]
        else:
            raise ValueError(
                f"a context (C, H, W) = {self.expected} beside images {tuple(shape)}: heights and "
                "widths must be the same"
            )
        self.sides = plan(shape, multiplier)[0][-1]

    def forward(self, context: Tensor | None) -> Tensor:
        """A map of each context, (B, ...) -> (B, K, h, w).

        Raises:
            ValueError: It is missing, not expected, or of another shape.
        """
        given = None if context is None else tuple(context.shape[1:])
        if given != self.expected or context is None:
            wanted = "no context" if self.expected == (0,) else f"a context {self.expected}"
            raise ValueError(
                f"this model was built for {wanted}, and "
                f"{'no context' if given is None else given} was given for each example"
            )
        found: Tensor = self.read(context.float())
        return found.expand(*found.shape[:2], *self.sides)


def halvings(shape: Sequence[int], multiplier: float) -> tuple[nn.Sequential, int]:
    """Convolutions that halve images (C, H, W) as the plan says, and the channels they end in."""
    sides, counts = plan(shape, multiplier)
    parts: list[nn.Module] = []
    for before, after in pairwise(counts):
        parts += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
    if len(sides) == 1:  # nothing to be halved
        counts.append(scaled(16, multiplier))
        parts = [nn.Conv2d(shape[0], counts[-1], 3, padding=1), nn.ReLU()]
    return nn.Sequential(*parts), counts[-1]


def gaussian(width: int, depth: int) -> nn.Conv2d:
    """From a map to means and log-variances of another: N(0, I) before anything is learnt."""
    layer = nn.Conv2d(width, 2 * depth, 3, padding=1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def normal(layer: nn.Module, h: Tensor) -> NormalPosterior:
    """The normal distribution that such a layer says, with independent numbers (n, d)."""
    with torch.autocast(h.device.type, enabled=False):
        mean, raw = layer(h.float()).chunk(2, 1)
    log_variance = _BOUND * torch.tanh(raw / _BOUND)
    return NormalPosterior(mean.flatten(1), torch.exp(0.5 * log_variance).flatten(1))
