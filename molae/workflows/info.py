"""What there is to know: of a run, and of the names that people type."""

from __future__ import annotations

from typing import Any

from molae.codecs import GrammarCodec
from molae.names import DENSITIES, OBJECTIVES
from molae.runs.build import USUAL_HEAD
from molae.runs.run import Run

#: Heads that an objective works with, and what else it takes.
_HEADS = {
    "vae": "normal, constant",
    "cvvae": "constant",
    "wae": "delta, normal, constant",
    "rae": "delta, normal or constant (their mean)",
    "ae": "delta, normal or constant (their mean)",
}
_OPTIONS = {
    "vae": "--beta, --beta-warmup, --noise-scale",
    "cvvae": "--beta, --beta-warmup, --noise",
    "wae": "--weight",
    "rae": "--beta, --beta-warmup, --regularizer none|l2|gp|sn, --weight, --noise",
    "ae": "--weight",
}


def info(run: Run) -> dict[str, str]:
    """Facts about a run, in the order in which they are shown."""
    card, settings = run.card, run.config["model"]
    counts, training = card.get("counts", {}), card.get("training", {})
    metrics = card.get("metrics", {})
    parameters = sum(p.numel() for p in run.model.parameters())
    wanted = {key: value for key, value in run.config["objective"].items() if key != "name"}
    facts: dict[str, Any] = {
        "folder": run.folder,
        "made": card.get("created"),
        "command": card.get("command"),
        "data": ", ".join(
            f"{part['file']} ({part['used']:,} used, {part['rejected']:,} rejected)"
            for part in card.get("data", [])
        ),
        "molecules": _pair(counts, "training", "validation"),
        "objective": _named(run.config["objective"]["name"], wanted),
        "encoder": _slot(settings["encoder"]),
        "head": _slot(settings["head"]),
        "decoder": _slot(settings["decoder"]),
        "code": f"{run.size} dimensions",
        "parameters": f"{parameters:,}",
        "vocabulary": _vocabulary(run),
        "densities": ", ".join(["prior", *run.densities]),
        "trained": _trained(training),
        "reconstruction": _reconstruction(metrics),
        "properties": _properties(metrics),
        "versions": ", ".join(f"{k} {v}" for k, v in card.get("versions", {}).items()),
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def objectives() -> list[dict[str, str]]:
    """What there is to minimise and what combines, one row each."""
    return [
        {
            "objective": name,
            "help": text,
            "head": USUAL_HEAD[name],
            "works with": _HEADS[name],
            "options": _OPTIONS[name],
        }
        for name, text in OBJECTIVES.items()
    ]


def densities() -> list[dict[str, str]]:
    """What codes can be drawn from, one row each."""
    return [{"density": name, "help": text} for name, text in DENSITIES.items()]


def _pair(counts: dict[str, Any], *names: str) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in names if name in counts)


def _named(name: str, settings: dict[str, Any]) -> str:
    listed = ", ".join(f"{key} {value}" for key, value in settings.items())
    return f"{name} ({listed})" if listed else name


def _slot(settings: dict[str, Any]) -> str:
    rest = {key: value for key, value in settings.items() if key != "name"}
    return _named(settings["name"], rest)


def _vocabulary(run: Run) -> str:
    codec = run.codec
    if not isinstance(codec, GrammarCodec):
        return f"{codec.size - 1} characters, at most {codec.max_steps - 1} of them, no promise"
    promise = "every decoded molecule is valid" if codec.constraint.attributes else "no promise"
    return (
        f"{codec.size} rules of {codec.grammar.name}, at most {codec.max_steps} steps, {promise}"
    )


def _trained(training: dict[str, Any]) -> str:
    if not training:
        return ""
    length = f"{training['epochs']:g} epochs ({training['steps']:,} steps)"
    pace = f"{training['seconds']:,.0f} s, {training['molecules_per_second']:,} molecules/s"
    return f"{length} in {pace}, {training['precision']} on {training['device']}"


def _reconstruction(metrics: dict[str, Any]) -> str:
    if "reconstruction" not in metrics:
        return ""
    return (
        f"{100 * metrics['reconstruction']:.1f} % exact, on {metrics['measured']:,} molecules of "
        f"{metrics['measured_on']}"
    )


def _properties(metrics: dict[str, Any]) -> str:
    found = metrics.get("properties", {})
    return "; ".join(
        f"{name} R2 {_number(errors['r2'])}, MAE {_number(errors['mae'])}"
        for name, errors in found.items()
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
