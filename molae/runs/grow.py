"""From one run to another that starts from it: weights, and what the objective has learnt.

The new vocabulary may be larger: rows are carried by identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from molae.objectives.schedules import settled
from molae.runs.folder import RunError
from molae.runs.run import Run
from molae.training import checkpoint

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


def carry_objective(old: Run, new: Run) -> str:
    """Let the objective of ``new`` go on where that of ``old`` ended.

    Multiplier, moving average and critics are no part of a run's weights, but of the checkpoint
    that a training leaves in its folder. They are taken where the objective has the same settings,
    a schedule counting as what it ends at, and learns the same tensors: a critic of sequences does
    not where rules are new.

    Args:
        old: A trained run.
        new: A run that has its weights.

    Returns:
        What was done, in a sentence; "" for an objective that learns nothing itself.
    """
    mine = new.objective.state_dict()
    if not mine:
        return ""
    # Properties may be learnt beside it in one run only: the objective is then one step deeper.
    names = {name.removeprefix("objective."): name for name in mine}
    what = " and ".join(dict.fromkeys(name.partition(".")[0] for name in names))
    found = _learnt_by_objective(old)
    theirs = {names.get(name, name): value for name, value in found.items()}
    if _ends_at(old.config["objective"]) != _ends_at(new.config["objective"]):
        why = "its settings are others"
    elif not found:
        why = f"{old.folder} holds no checkpoint of it"
    elif _shapes(theirs) != _shapes(mine):
        why = "it has another shape"
    else:
        new.objective.load_state_dict(theirs)
        return f"what the objective has learnt itself goes on: {what}"
    return f"what the objective learns itself ({what}) begins anew: {why}"


def _learnt_by_objective(run: Run) -> dict[str, Tensor]:
    """The state of a run's objective at the end of its training; nothing where it is not there."""
    if run.folder is None:
        return {}
    try:
        tensors, _ = checkpoint.load(run.folder / "checkpoint")
    except checkpoint.CheckpointError:
        return {}
    found = checkpoint.branch(tensors, "objective")
    return {name.removeprefix("objective."): value for name, value in found.items()}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _ends_at(table: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an objective, with what their schedules end at."""
    return {
        name: settled(value) if isinstance(value, Mapping) else value
        for name, value in table.items()
    }


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
