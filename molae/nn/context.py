"""Conditioning: what is known beside the code or the sequence is put at its side."""

from __future__ import annotations

import torch
from torch import Tensor


def join(value: Tensor, context: Tensor | None, width: int) -> Tensor:
    """Put a context beside codes or features.

    Args:
        value: (*S, B, D).
        context: (B, C), or None where ``width`` is 0.
        width: C, which the module was built for.

    Returns:
        (*S, B, D + C).

    Raises:
        ValueError: A context is missing, not expected, or of another width.
    """
    if context is None and width == 0:
        return value
    if context is None:
        raise ValueError(
            f"no context was given, but this module was built for a context of width {width}; "
            "pass context=(B, C)"
        )
    if context.shape[-1] != width:
        raise ValueError(
            f"the context has width {context.shape[-1]}, but this module was built for {width}; "
            f"build it with context={context.shape[-1]}"
        )
    spread = context.to(value.dtype).expand(*value.shape[:-1], width)
    return torch.cat([value, spread], -1)
