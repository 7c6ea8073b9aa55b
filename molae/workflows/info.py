"""What there is to know: of a run, and of the names that people type."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from molae.codecs import CharacterCodec, GrammarCodec, ImageCodec
from molae.names import DENSITIES, OBJECTIVES
from molae.nn.image_likelihood import is_fixed
from molae.objectives.published import CONVERSION, published_weights
from molae.resources import weights_names, weights_path
from molae.runs.compose import combinations
from molae.runs.folder import read_card
from molae.runs.places import shipped_as
from molae.runs.run import Run
from molae.workflows.usual import USUAL

#: Numbers of molecules and of images from a density that are shown, and what they are called.
_SAMPLES = {
    "validity": "valid",
    "unique_10k": "unique@10k",
    "novelty": "novel",
    "filters": "MOSES filters",
    "fcd": "FCD",
    "snn": "SNN",
    "w1_logp": "W1 logP",
    "w1_sa": "W1 SA",
    "w1_qed": "W1 QED",
    "w1_mw": "W1 weight",
    "mean_qed": "mean QED",
    "mean_sa": "mean SA",
    "ring_larger": "rings above 8",
    "strained": "strained",
    "fd_classifier": "FD in features of the classifier",
    "fd_pca": "of pixels",
    "fid": "FID",
    "prd_f8": "PRD F8",
    "prd_f1_8": "F1/8",
    "precision": "precision",
    "recall": "recall",
}

#: Other ways to count what came back exactly, and what they are called.
_RECONSTRUCTIONS = {
    "refined_reconstruction": "from corrected codes",
    "stochastic_reconstruction": "of random decodings",
}


def info(run: Run) -> dict[str, str]:
    """Facts about a run, in the order in which they are shown."""
    card, settings = run.card, run.config["model"]
    wanted = {key: value for key, value in run.config["objective"].items() if key != "name"}
    facts: dict[str, Any] = {
        "folder": _place(run),
        "about": card.get("about"),
        **_made(run),
        "objective": _named(run.config["objective"]["name"], wanted),
        "as published": _published(run),
        "encoder": _slot(settings["encoder"]),
        "head": _slot(settings["head"]),
        "decoder": _slot(settings["decoder"]),
        "code": f"{run.size} dimensions",
        "parameters": f"{sum(p.numel() for p in run.model.parameters()):,}",
        "on disc": _stored(run),
        "vocabulary": _vocabulary(run),
        "expresses": run.codec.expresses,
        "longest": run.codec.longest,
        "limits": run.codec.limits,
        "told": "" if run.condition is None else run.condition.described(),
        "densities": ", ".join(["prior", *run.densities]),
        "drawn codes": f"blurred by {run.noise:g}, which the decoder is told" if run.noise else "",
        "trained": _trained(card.get("training", {}), card.get("recipe", {}), run.codec.items),
        **_measured(card.get("metrics", {}), run.codec.items),
        "versions": ", ".join(f"{k} {v}" for k, v in card.get("versions", {}).items()),
    }
    facts |= {f"note {n}": text for n, text in enumerate(card.get("notes", []), 1)}
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def shipped() -> list[dict[str, str]]:
    """The models that ship with molae, one row each."""
    rows = []
    for name in weights_names():
        with weights_path(name) as folder:
            about = read_card(folder).get("about", "")
            rows.append({"model": name, "size": _bytes(folder), "about": about})
    return rows


def objectives() -> list[dict[str, str]]:
    """What there is to minimise and what combines, one row each."""
    return [
        {
            "objective": one.objective,
            "help": OBJECTIVES[one.objective],
            "data": ", ".join(one.media),
            "heads": ", ".join(one.heads),
            "decoders": ", ".join(
                name for medium in one.media for name in one.decoders(USUAL[medium].decoders)
            ),
            "priors": ", ".join(one.priors),
            "settings": ", ".join(one.settings),
        }
        for one in combinations()
    ]


def conversion() -> str:
    """How weights compare with published ones, for people."""
    return CONVERSION


def densities() -> list[dict[str, str]]:
    """What codes can be drawn from, one row each."""
    return [{"density": name, "help": text} for name, text in DENSITIES.items()]


def _place(run: Run) -> str:
    """Where a run is, for people."""
    name = None if run.folder is None else shipped_as(run.folder)
    return str(run.folder or "") if name is None else f"{name} (ships with molae)"


def _made(run: Run) -> dict[str, Any]:
    """How it was made, and from what: enough to make it again."""
    card = run.card
    recipe, counts = card.get("recipe", {}), card.get("counts", {})
    files = card.get("data", [])
    return {
        "made": card.get("created"),
        "command": " && ".join(recipe.get("commands", [])) or card.get("command"),
        "machine": recipe.get("machine"),
        "seed": run.config.get("training", {}).get("seed"),
        "data": ", ".join(
            f"{part['file']} ({part['used']:,} used, {part['rejected']:,} rejected)"
            for part in files
        ),
        "sha256": ", ".join(part["sha256"] for part in files if part.get("sha256")),
        run.codec.items: _pair(counts, "training", "validation"),
    }


def _stored(run: Run) -> str:
    """Bytes on the disc, and what numbers were rounded to."""
    if run.folder is None or not run.folder.is_dir():
        return ""
    stored = run.card.get("stored", {})
    rounded = f", weights in {stored['weights']}" if "weights" in stored else ""
    return _bytes(run.folder) + rounded


def _bytes(folder: Path) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


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
    if isinstance(codec, CharacterCodec):
        return f"{codec.size - 1} characters, at most {codec.max_steps - 1} of them, no promise"
    if not isinstance(codec, GrammarCodec):
        return ""
    promise = "every decoded molecule is valid" if codec.constraint.attributes else "no promise"
    return (
        f"{codec.size} rules of {codec.grammar.name}, at most {codec.max_steps} steps, {promise}"
    )


def _published(run: Run) -> str:
    """Weights in the units of the RAE paper's code, where the model is one that it might have."""
    pixels: Any = getattr(run.model.decoder, "pixels", None)
    codec = run.codec
    if not isinstance(codec, ImageCodec) or pixels is None:
        return ""
    if not is_fixed(pixels.kind, pixels.sigma):
        return ""
    sigma = math.exp(pixels.fixed)
    weights = published_weights(run.config["objective"], run.size, codec.shape, sigma)
    if not weights:
        return ""
    listed = ", ".join(f"{name} = {value:.3g}" for name, value in weights.items())
    return f"{listed} in the units of the RAE paper's code"


def _trained(training: dict[str, Any], recipe: dict[str, Any], items: str) -> str:
    """How long it was trained; of a recipe in stages, what is known is the last of them."""
    if not training:
        return ""
    stages = sum(" train " in f" {command} " for command in recipe.get("commands", []))
    which = f"last of {stages} stages: " if stages > 1 else ""
    length = f"{training['epochs']:g} epochs ({training['steps']:,} steps)"
    pace = f"{training['seconds']:,.0f} s, {training['examples_per_second']:,} {items}/s"
    return f"{which}{length} in {pace}, {training['precision']} on {training['device']}"


def _measured(metrics: dict[str, Any], items: str) -> dict[str, str]:
    """What was measured at the end of the training, and by ``molae evaluate`` since."""
    found = metrics.get("evaluation", {})
    rows = {
        "reconstruction": _reconstruction(metrics, found, items),
        "properties": _properties(metrics),
    }
    samples = {**found.get("densities", {}), "training data": found.get("training_data")}
    for name, numbers in samples.items():
        if numbers:
            label = name if name == "training data" else f"from {name}"
            told = [
                f"{text} {numbers[key]:.4g}"
                for key, text in _SAMPLES.items()
                if numbers.get(key) is not None
            ]
            of = f"of {found['n']:,}: " if "n" in found else ""
            rows[label] = of + ", ".join(told) if told else ""
    return rows


def _reconstruction(metrics: dict[str, Any], found: dict[str, Any], items: str) -> str:
    numbers = found.get("numbers", {})
    share = numbers.get("reconstruction")
    if share is not None:
        count = found.get("measured_on", {}).get("reconstruction")
        on = f"{count:,} held-out molecules" if count else "held-out molecules"
        more = [
            f"; {100 * numbers[key]:.1f} % {text}"
            for key, text in _RECONSTRUCTIONS.items()
            if numbers.get(key) is not None
        ]
        return f"{100 * share:.1f} % exact, on {on}{''.join(more)}"
    if "reconstruction" in metrics:
        told = f"{100 * metrics['reconstruction']:.1f} % exact"
    elif "squared_error" in metrics:
        told = f"squared error {metrics['squared_error']:.3g} a value (from 0 to 1)"
    else:
        return ""
    return f"{told}, on {metrics['measured']:,} {items} of {metrics['measured_on']}"


def _properties(metrics: dict[str, Any]) -> str:
    found = metrics.get("properties", {})
    return "; ".join(
        f"{name} R2 {_number(errors['r2'])}, MAE {_number(errors['mae'])}"
        for name, errors in found.items()
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
