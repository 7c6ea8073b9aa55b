"""Markov chains that walk from one example to the next, of denoising and contractive models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from molae.draws import normals, uniforms
from molae.models import Autoencoder
from molae.names import CHAINS, pick
from molae.objectives import Objective, WithProperties
from molae.objectives.denoising import DAE
from molae.objectives.regularizers import twice_differentiable
from molae.runs.condition import checked
from molae.runs.run import Run

#: Steps from here on key corruptions, and noise on codes; other draws use others.
_CORRUPTION, _PUSH = 1 << 26, 1 << 27
#: Between the numbers of one chain at one step and at the next.
_STRIDE = 1 << 32


@dataclass(frozen=True)
class Walk:
    """A chain as it is asked for.

    Attributes:
        kind: See ``chain``, and so are the others.
        steps: How many.
        noise: Of ``rifai``.
    """

    kind: str | None = None
    steps: int = 50
    noise: float = 0.2

    def end(
        self, run: Run, x0: Tensor, seed: int, index: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """The last state of the chains that begin at x0 (B, ...), given contexts (B, ...).

        Raises:
            ValueError: The run has no such chain.
        """
        x = x0
        states = chain(
            run, x0, self.steps, self.kind, seed=seed, noise=self.noise, index=index,
            context=context,
        )  # fmt: skip
        for state in states:
            x = state
        return x


def chain(
    run: Run,
    x0: Tensor,
    steps: int,
    kind: str | None = None,
    *,
    seed: int = 0,
    noise: float = 0.2,
    index: Tensor | None = None,
    context: Tensor | None = None,
) -> Iterator[Tensor]:
    """The states of B chains after 1, 2, ... ``steps`` steps: sequences or images like ``x0``.

    - ``bengio``: x~ ~ C(.|x), x' ~ p(x|z(x~)), with C what the run's objective ``dae`` was
      trained with (Bengio et al., NeurIPS 2013).
    - ``rifai``: x' = g(z(x) + J J^T e), e ~ N(0, noise^2 I), J the Jacobian of z at x: steps are
      along the directions in which codes move with the data, and by how much they do (Rifai et
      al., *A Generative Process for Sampling Contractive Auto-Encoders*, ICML 2012). What it
      gives are means, not draws.

    State t of chain i depends on the run, x0[i], the seed, i and t only, up to rounding.

    Args:
        run: With the objective ``dae`` (``bengio``), or a model of images (``rifai``).
        x0: Where they begin, (B, T) or (B, C, H, W), as the codec encodes it.
        steps: How many.
        kind: A key of ``molae.names.CHAINS``; None for that of the objective.
        seed: Of all draws.
        noise: Of ``rifai``; its scale is that of codes over slopes, and what suits a model must be
            tried: more lets chains change sooner, and leave the data.
        index: Numbers of the chains, (B,) int64; 0, 1, 2, ... by default.
        context: Of each chain, which it keeps, (B, ...), for a run with a ``condition``.

    Yields:
        (B, ...) on the device of the run.

    Raises:
        ValueError: The run has no such chain, or a context is missing or not expected; nothing
            has been drawn then.
    """
    goal = run.objective
    if isinstance(goal, WithProperties):
        goal = goal.objective
    kind = pick(CHAINS, kind or ("bengio" if isinstance(goal, DAE) else "rifai"), "chain")
    if steps < 0 or not noise >= 0:
        raise ValueError(f"steps is {steps} and noise {noise}; expected 0 or more")
    model, context = run.model.eval(), checked(run.condition, context, len(x0))
    context = None if context is None else context.to(run.device)
    move: Callable[[Tensor, Tensor], Tensor]
    if kind == "bengio":
        move = partial(denoised, model, _denoiser(goal), seed, context)
    else:
        _check_slope(x0)
        move = partial(pushed, model, noise, seed, context)
    index = torch.arange(len(x0)) if index is None else index
    return _states(move, x0.to(run.device), index.to(run.device), steps)


def _denoiser(goal: Objective) -> DAE:
    """The objective, if it says what the model was trained to undo."""
    if isinstance(goal, DAE):
        return goal
    raise ValueError(
        "the chain 'bengio' undoes the corruption that a model was trained on, and this one was "
        "on none: train with the objective 'dae'"
    )


def _check_slope(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(
            "the chain 'rifai' follows the slope of the encoder, and sequences have none: train "
            "with the objective 'dae' and use 'bengio'"
        )


def _states(
    move: Callable[[Tensor, Tensor], Tensor], x: Tensor, index: Tensor, steps: int
) -> Iterator[Tensor]:
    for step in range(1, steps + 1):
        x = move(x, index + step * _STRIDE)
        yield x


@torch.no_grad()
def denoised(
    model: Autoencoder, goal: DAE, seed: int, context: Tensor | None, x: Tensor, key: Tensor
) -> Tensor:
    """One step of ``bengio`` from x (B, ...), with draws keyed by seed and key (B,)."""
    place = torch.arange(_CORRUPTION, _CORRUPTION + x[0].numel(), device=x.device)
    u = uniforms(seed, key[:, None], place).view(x.shape)
    z = model.encode(goal.corrupted(model, x, u), context)
    return model.decode(z, context, seed=seed, index=key)


def pushed(
    model: Autoencoder, noise: float, seed: int, context: Tensor | None, x: Tensor, key: Tensor
) -> Tensor:
    """One step of ``rifai`` from x (B, ...), with draws keyed by seed and key (B,)."""
    with torch.enable_grad(), twice_differentiable(x.device.type):
        x = x.detach().requires_grad_()
        z = model.encode(x, context)
        e = (noise * normals(seed, key, z.shape[1], _PUSH)).to(z).requires_grad_()
        (back,) = torch.autograd.grad(z, x, e, create_graph=True)  # J^T e
        # J^T e is linear in e, so its derivative against itself is J J^T e.
        (push,) = torch.autograd.grad(back, e, back.detach())
    return model.decode(z.detach() + push, context)
