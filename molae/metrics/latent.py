"""What a space of codes is like: how much of it is used, and what decoding does to a code.

Letters: N codes, D the size of a code, T points on a way from one code to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from molae.chem.fingerprints import morgan, tanimoto
from molae.names import WAYS, pick

#: Variance of the posterior means above which a dimension is active (Burda et al. 2016).
ACTIVE = 1e-2


def active_dimensions(means: Tensor, threshold: float = ACTIVE) -> int:
    """Dimensions in which the posterior mean depends on the data.

    A dimension u is active if Cov_x(E_q(u|x)[u]) > ``threshold`` (Burda, Grosse and Salakhutdinov,
    *Importance weighted autoencoders*, ICLR 2016, section 5.2). The threshold supposes codes on
    the scale of a standard normal prior; codes without a prior have whatever scale they like.

    Args:
        means: E_q(z|x)[z] of N examples, (N, D).
        threshold: Variance (divided by N) above which a dimension counts.

    Raises:
        ValueError: There are fewer than 2 examples.
    """
    return int((_variances(means) > threshold).sum())


def effective_rank(z: Tensor) -> float:
    """The exponential of the entropy of the normalised eigenvalues of the codes' covariance.

    Roy and Vetterli, *The effective rank*, EUSIPCO 2007, definition 1, of the covariance matrix:
    D where codes spread alike in all directions, 1 on a line, and it does not depend on their
    scale. It is at most N - 1; a collapsed space, of one point, has 0.

    Args:
        z: Codes, (N, D).

    Raises:
        ValueError: There are fewer than 2 codes.
    """
    centred = _centred(z)
    values = torch.linalg.svdvals(centred).square()  # of the covariance, times N
    total = values.sum()
    if not total > 0:
        return 0.0
    shares = values / total
    return float(torch.exp(torch.special.entr(shares).sum()))


def relative_drift(z: Tensor, again: Tensor, among: Tensor) -> float | None:
    """How far codes move, in units of the distance between two codes that have nothing in common.

    Args:
        z: Codes, (N, D).
        again: Where each has moved to, (N, D).
        among: Codes whose mean distance, over all pairs, is the unit, (M, D).

    Returns:
        0 where nothing moves, about 1 where codes are exchanged for others; None where there are
        no codes, or no two different ones to make a unit of.

    Raises:
        ValueError: ``z`` and ``again`` differ in shape.
    """
    if z.shape != again.shape:
        raise ValueError(f"codes {tuple(z.shape)} cannot have moved to {tuple(again.shape)}")
    if len(z) == 0 or len(among) < 2:
        return None
    unit = torch.pdist(among.double()).mean()
    if not unit > 0:
        return None
    return float((again.double() - z.double()).norm(dim=1).mean() / unit)


def principal_axes(z: Tensor, count: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """The directions in which codes spread most.

    Args:
        z: Codes, (N, D).
        count: How many directions, at most D.

    Returns:
        Mean (D,), orthonormal directions (D, count), each with its largest entry positive so that
        a picture is not mirrored by chance, and the share of the variance along each, (count,);
        float64.

    Raises:
        ValueError: There are fewer than 2 codes, or fewer dimensions than directions.
    """
    if z.shape[-1] < count:
        raise ValueError(f"codes of {z.shape[-1]} dimensions have no {count} principal axes")
    centred = _centred(z)
    covariance = centred.T @ centred / len(z)  # (D, D)
    values, vectors = torch.linalg.eigh(covariance)  # ascending
    axes = vectors.flip(1)[:, :count]
    largest = axes.abs().argmax(0)  # (count,)
    axes = axes * torch.sign(axes[largest, torch.arange(count)])
    spread = values.flip(0)[:count].clamp(min=0) / values.sum().clamp(min=1e-300)
    return z.double().mean(0), axes, spread


def ways(a: Tensor, b: Tensor, t: Tensor, kind: str = "linear") -> Tensor:
    """Points between pairs of codes: a (N, D), b (N, D), t (T,) in [0, 1] -> (N, T, D).

    ``linear`` is the straight line. ``rescaled`` keeps its directions and brings it to the mean
    length of codes at t, which changes evenly from that of all a to that of all b: a pair alone
    keeps its ends. ``spherical`` turns the direction (Shoemake, *Animating rotation with
    quaternion curves*, 1985), and changes the length of each pair evenly. Where directions agree,
    oppose or are missing there is no such turn, and the straight line is taken.

    Raises:
        ValueError: Unknown kind, or shapes that differ.
    """
    pick(WAYS, kind, "way")
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"codes {tuple(a.shape)} and {tuple(b.shape)}; expected (N, D) twice")
    a, b, t = a.unsqueeze(1), b.unsqueeze(1), t.to(a).unsqueeze(1)  # (N, 1, D), (T, 1)
    line: Tensor = (1 - t) * a + t * b
    if kind == "linear":
        return line
    long_a, long_b = a.norm(dim=2, keepdim=True), b.norm(dim=2, keepdim=True)  # (N, 1, 1)
    if kind == "rescaled":
        along, length = line, (1 - t) * long_a.mean() + t * long_b.mean()
        least = 1e-4 * length
    else:
        a, b = a / long_a.clamp(min=1e-12), b / long_b.clamp(min=1e-12)
        angle = torch.arccos((a * b).sum(2, keepdim=True).clamp(-1, 1))
        along = torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b  # of length sin(angle)
        along = torch.where(torch.minimum(long_a, long_b) < 1e-9, 0.0, along)
        length, least = (1 - t) * long_a + t * long_b, torch.full_like(t, 1e-4)
    size = along.norm(dim=2, keepdim=True)
    return torch.where(size > least, length * along / size.clamp(min=1e-12), line)


def midpoints(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """The middle between codes, as Ghosh et al. (*From variational to deterministic autoencoders*,
    ICLR 2020) judge interpolations: a (N, D), b (N, D) -> (N, D).

    It is that of ``ways``: ``linear`` the mean; ``rescaled`` the same direction at the mean length
    of all 2 N codes; ``spherical`` half way from one direction to the other, at the mean length of
    the two (for codes of one length that is the slerp of the authors).

    Raises:
        ValueError: Unknown kind, or shapes that differ.
    """
    return ways(a, b, torch.tensor([0.5]), kind)[:, 0]


def smoothness(ways: Sequence[Sequence[str | None]]) -> float | None:
    """Mean Tanimoto similarity of molecules that follow each other on ways through the space.

    Morgan fingerprints of radius 2, 2,048 bits. The same molecule twice is 1; a step from or to
    something that is no molecule is 0, as nothing is alike in it.

    Args:
        ways: Canonical SMILES of the T points of each way, None for what is no molecule.

    Returns:
        0 to 1, None where no way has two points. It rises with the number of points, so that only
        ways of the same T can be compared.
    """
    steps = [value for way in ways for value in _steps(way)]
    return sum(steps) / len(steps) if steps else None


def _steps(way: Sequence[str | None]) -> list[float]:
    """Similarities of neighbours on one way."""
    rows: dict[str, int] = {}
    for text in way:
        if text is not None:
            rows.setdefault(text, len(rows))
    prints = morgan(list(rows))
    alike = tanimoto(prints, prints)
    return [
        0.0 if one is None or other is None else float(alike[rows[one], rows[other]])
        for one, other in pairwise(way)
    ]


def _centred(z: Tensor) -> Tensor:
    """Codes without their mean, (N, D) float64."""
    if z.ndim != 2 or len(z) < 2:
        raise ValueError(f"codes of shape {tuple(z.shape)}: expected (N, D) with N of at least 2")
    z = z.double()
    return z - z.mean(0)


def _variances(z: Tensor) -> Tensor:
    return _centred(z).square().mean(0)
