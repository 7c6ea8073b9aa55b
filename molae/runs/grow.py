"""Weights from one run to another whose vocabulary is larger: rows are carried by identity."""

from __future__ import annotations

import torch
from torch import Tensor

from molae.runs.folder import RunError
from molae.runs.run import Run

#: Tensors with a row for each rule, and how many rows stand before the first rule's.
_TABLES = {
    "encoder.embedding.weight": 1,
    "decoder.embedding.weight": 1,
    "decoder.to_logits.weight": 0,
    "decoder.to_logits.bias": 0,
}


def carry(old: Run, new: Run) -> int:
    """Copy the weights of ``old`` into ``new``; rules that are new keep their fresh rows.

    So does a head for properties that the old run has not.

    Args:
        old: A trained run.
        new: A run of the same architecture whose codec holds at least the same rules.

    Returns:
        The number of rules that were new.

    Raises:
        RunError: The models differ in more than their rules.
    """
    before = {text: row for row, text in enumerate(old.codec.entries)}
    after = new.codec.entries
    known = [(row, before[text]) for row, text in enumerate(after) if text in before]
    to = torch.tensor([pair[0] for pair in known], dtype=torch.int64)
    come = torch.tensor([pair[1] for pair in known], dtype=torch.int64)
    theirs, mine = old.model.state_dict(), new.model.state_dict()
    with torch.no_grad():
        for name, target in mine.items():
            source = theirs.get(name)
            if source is not None:
                _copy(name, source.cpu(), target, come, to)
    odd = sorted(
        name
        for name in mine.keys() ^ theirs.keys()
        if name in theirs or not name.startswith(("predictor.", "decoder.noise."))
    )[:3]
    if odd:
        raise RunError(f"the two models differ in more than their rules: {', '.join(odd)}")
    new.model.load_state_dict(mine)
    return len(after) - len(known)


def _copy(name: str, source: Tensor, target: Tensor, come: Tensor, to: Tensor) -> None:
    # Under a spectral norm the weight has another name, and its iterates (_u, _v) start anew.
    plain = name.replace(".parametrizations.weight.original", ".weight")
    if plain in _TABLES:
        first = _TABLES[plain]
        target[:first] = source[:first]
        target[first + to] = source[first + come]
    elif source.shape == target.shape:
        target.copy_(source)
    elif not name.endswith(("_u", "_v")):
        raise RunError(
            f"{name} is {tuple(source.shape)} in one model and {tuple(target.shape)} in the "
            "other: train with the same --latent-dim and layers, or without --from"
        )
