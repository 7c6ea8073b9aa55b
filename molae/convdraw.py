"""ConvDRAW: an autoencoder of images that is told of them in several steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, cast

import torch
from torch import Tensor, nn

from molae.densities import LatentDensity
from molae.densities.base import Progress
from molae.distributions import NormalPosterior, rate
from molae.models import Autoencoder
from molae.nn.draw import Context, DrawDecoder, DrawEncoder, State, gaussian, normal
from molae.nn.image import check_images, in_tiles
from molae.types import Posterior


class ConvDRAW(Autoencoder):
    """A recurrent autoencoder of images: the code is T maps, each put on what is drawn so far.

    Gregor, Besse, Rezende, Danihelka and Wierstra, *Towards Conceptual Compression*, NeurIPS 2016
    (after DRAW, ICML 2015), as Rezende and Viola, *Taming VAEs*, 2018 use it, with or without a
    context. In step t the encoder's cell sees the image, what is missing on the canvas, and the
    decoder's state, and its head says q(z_t | z_1 ... z_t-1, x); the decoder does the rest, see
    ``DrawDecoder``. The code is z = (z_1, ..., z_T), (B, D) with D = T d, and its rate the sum

        KL(q(z|x) || p(z)) = E sum_t KL(q(z_t | z_<t, x) || p(z_t | z_<t)),

    each step in closed form along the codes that were drawn. The verbs are those of every
    autoencoder: objectives with a rate (``vae``, ``geco``, ``iwae``) see nothing else. The prior
    is a part of the decoder and is learnt with it.

    Args:
        shape: (C, H, W).
        latent: D; the smallest is ``molae.nn.draw.code_unit(shape, steps)``.
        steps: T.
        channels: Of both cells.
        kernel: Side of their convolutions, odd.
        multiplier: Of all channels.
        context: Width of the context, 0 for none, or the shape (C, H, W) of one that is an image.
        likelihood, sigma: See ``molae.nn.image_likelihood.PixelModel``.
        tile: Images that are computed together when nothing is learnt.

    Raises:
        ValueError: D is no multiple of that, or a number is out of range.
    """

    encoder: DrawEncoder
    decoder: DrawDecoder

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
        decoder = DrawDecoder(
            shape,
            latent,
            steps=steps,
            channels=channels,
            kernel=kernel,
            multiplier=multiplier,
            context=context,
            likelihood=likelihood,
            sigma=sigma,
            tile=tile,
        )
        encoder = DrawEncoder(
            shape, decoder, channels=channels, kernel=kernel, multiplier=multiplier
        )
        head = gaussian(encoder.width, decoder.map[0])
        nn.init.normal_(head.weight, std=0.01)  # so that there is a gradient for what is before
        super().__init__(encoder, head, decoder, DrawPrior(decoder))

    def posterior(self, x: Tensor, context: Tensor | None = None) -> Posterior:
        """q(z|x) of images x (B, C, H, W) and contexts (B, ...)."""
        check_images(x, self.decoder.shape)
        return cast(Posterior, DrawPosterior(self, x, context))


@dataclass
class _Path:
    """What was passed on the way through all steps: z and log q (N, ...), KL of each step."""

    z: Tensor  # (N, D)
    log_q: Tensor  # (N,)
    rates: Tensor  # (T, N)


class DrawPosterior:
    """q(z|x) of a ConvDRAW: each part of a code depends on those before it.

    The steps of the last draws are remembered, so that asking for their log-density or rate
    does not take them again.

    Args:
        model: It is asked step by step.
        x: (B, C, H, W).
        context: (B, ...) or None.
    """

    def __init__(self, model: ConvDRAW, x: Tensor, context: Tensor | None) -> None:
        self.model, self.x, self.context = model, x.float(), context
        self._last: tuple[Tensor, _Path] | None = None

    @cached_property
    def center(self) -> Tensor:
        """The mean of each part, given the means of those before: (B, D)."""
        model, event = self.model, self.x[0].numel() if len(self.x) else 0
        told = model.decoder.told(self.context, self.x.shape[:1])
        if not len(self.x):
            return self.x.new_zeros(0, model.decoder.latent)

        def codes(rows: Tensor) -> Tensor:
            x = rows[:, :event].view(-1, *self.x.shape[1:])
            beside = rows[:, event:].view(len(rows), *told.shape[1:])
            return _walk(model, x, beside, _mean, None).z

        rows = torch.cat([self.x.flatten(1), told.flatten(1)], 1)
        return in_tiles(codes, rows, model.decoder.tile, model.training)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        """Reparametrised draws, (*S, B, D)."""
        return self._taken(None, sample_shape)[0]

    def rsample_and_log_prob(self, sample_shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Draws (*S, B, D) and log q of them, (*S, B)."""
        z, path = self._taken(None, sample_shape)
        return z, path.log_q.view(z.shape[:-1])

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (*S, B, D) -> (*S, B)."""
        return self._path(z).log_q.view(z.shape[:-1])

    def rate(self, z: Tensor | None = None) -> Tensor:
        """The sum of the steps' KL along codes z (*S, B, D), drawn if None: (*S, B)."""
        z = self.rsample() if z is None else z
        return self._path(z).rates.sum(0).view(z.shape[:-1])

    def rates(self, z: Tensor) -> Tensor:
        """KL(q(z_t|...) || p(z_t|...)) along codes z (*S, B, D), in nats: (T, *S, B)."""
        return self._path(z).rates.view(-1, *z.shape[:-1])

    def penalty(self) -> Tensor:
        """Zeros, (B,)."""
        return self.x.new_zeros(len(self.x))

    def logged(self) -> dict[str, Tensor]:
        """``rate_1`` to ``rate_T`` (B,), the rate of each step along the last draws."""
        if self._last is None:
            return {}
        each = self._last[1].rates.detach()
        each = each.view(len(each), -1, len(self.x)).mean(1)
        return {f"rate_{step}": value for step, value in enumerate(each, 1)}

    def _path(self, z: Tensor) -> _Path:
        if self._last is not None and z is self._last[0]:
            return self._last[1]
        return self._taken(z, tuple(z.shape[:-2]))[1]

    def _taken(self, z: Tensor | None, sample_shape: tuple[int, ...]) -> tuple[Tensor, _Path]:
        """The steps along codes z (*S, B, D), or along draws, which are remembered."""
        lead = (*sample_shape, len(self.x))
        x = self.x.expand(*lead, *self.x.shape[1:]).reshape(-1, *self.x.shape[1:])
        told = self.model.decoder.told(self.context, lead)
        flat = None if z is None else z.to(self.x).reshape(-1, z.shape[-1])
        path = _walk(self.model, x, told, NormalPosterior.rsample, flat)
        if z is None:
            z = path.z.view(*lead, -1)
            self._last = z, path
        return z, path


class DrawPrior(LatentDensity):
    """p(z) of a ConvDRAW: its decoder, asked for codes. It has no weights of its own.

    Args:
        decoder: That it speaks for.
        context: (B, ...), where the decoder needs one; see ``given``.
    """

    name = "convdraw"

    def __init__(self, decoder: DrawDecoder, context: Tensor | None = None) -> None:
        super().__init__()
        self._decoder = (decoder,)  # in a tuple: its weights are saved as the decoder's only
        self._context = context

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        return self._decoder[0].latent

    @property
    def width(self) -> int:
        """Uniforms that a draw takes: one for each dimension."""
        return self.size

    def given(self, context: Tensor | None) -> DrawPrior:
        """p(z | context) for contexts (B, ...): of codes (*S, B, D), and of B draws."""
        return DrawPrior(self._decoder[0], context)

    def fit(self, z: Tensor, progress: Progress | None = None) -> Self:
        """It is learnt with the model.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "the prior of a ConvDRAW is a part of its decoder and is learnt with it; fit another "
            "density to its codes, such as 'gaussian'"
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (*S, B, D) -> (*S, B).

        Raises:
            ValueError: The decoder needs a context, and none was given.
        """
        decoder = self._decoder[0]
        precise = torch.promote_types(z.dtype, torch.float32)
        parts = z.float().reshape(-1, decoder.steps, self.size // decoder.steps)
        each: list[Tensor] = []

        def choose(step: int, p: NormalPosterior, state: State) -> Tensor:
            each.append(p.log_prob(parts[:, step]))
            return parts[:, step]

        decoder.unroll(decoder.told(self._context, z.shape[:-1]), choose)
        return torch.stack(each).sum(0).view(z.shape[:-1]).to(precise)

    @torch.no_grad()
    def from_uniforms(self, u: Tensor) -> Tensor:
        """Uniforms (n, D) -> draws (n, D), each given its own context where there are any."""
        decoder = self._decoder[0]
        noise = torch.special.ndtri(u).float()
        return decoder.draw(noise, decoder.told(self._context, (len(u),))).double()

    def _device(self) -> torch.device:
        return next(self._decoder[0].parameters()).device


def _mean(q: NormalPosterior) -> Tensor:
    return q.center


def _walk(
    model: ConvDRAW,
    x: Tensor,
    told: Tensor,
    pick: Callable[[NormalPosterior], Tensor],
    given: Tensor | None,
) -> _Path:
    """All steps of images x (N, C, H, W), along codes (N, D) or what is picked of each q."""
    decoder, encoder = model.decoder, model.encoder
    log_q: list[Tensor] = []
    rates: list[Tensor] = []
    codes: list[Tensor] = []
    memory = [x.new_zeros(len(x), encoder.width, *decoder.map[1:])] * 2
    parts = None if given is None else given.view(len(given), decoder.steps, -1)

    def choose(step: int, p: NormalPosterior, state: State) -> Tensor:
        memory[:] = encoder(x, state, told, *memory)
        q = normal(model.head, memory[0])
        z = pick(q) if parts is None else parts[:, step]
        codes.append(z)
        log_q.append(q.log_prob(z))
        rates.append(rate(q, p))
        return z

    decoder.unroll(told, choose)
    return _Path(torch.cat(codes, 1), torch.stack(log_q).sum(0), torch.stack(rates))
