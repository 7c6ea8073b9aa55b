"""Put a finished run among the models that ship with molae, small, checked and with its recipe.

    python -m benchmarks.ship RUN data/weights/NAME --data FILE
    molae evaluate -m data/weights/NAME --train FILE --reference FILE -o metrics.json
    python -m benchmarks.ship RUN data/weights/NAME --data FILE --metrics metrics.json

The first writes the model; the last, the same once more with what was measured on it in the card.

What is kept: settings, grammar, weights, densities, card. What is not: checkpoint, history,
rejects. The matrices of the weights are rounded to ``--dtype``; vectors stay as they are, they are
few. Densities are fitted and evaluated in float64: they are stored as float32 where that changes
neither how likely held-out codes are nor what is drawn, beyond rounding, and else as they are.

Before anything is put in its place, molecules or images that the training held out (found by their
hash in FILE; all of FILE if it is another one) are encoded and decoded by the run, and by what was
written, loaded as a user loads it. How well they come back is what the codec says: the share that
is exactly the same, or the squared error of images. If that share falls, or that error rises by a
share, of more than ``--margin``, it is refused.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.record import machine
from molae.codecs import ImageCodec
from molae.codecs.images import unit
from molae.datasets.files import data_digest
from molae.datasets.image_files import divided, source_digest
from molae.densities import LatentDensity, density
from molae.runs.folder import CARD, WEIGHTS, check_replaceable, digest
from molae.runs.run import Run
from molae.workflows.closing import some
from molae.workflows.evaluate import texts_of
from molae.workflows.held_images import held_images, images_of
from molae.workflows.held_out import held_out
from molae.workflows.measures import decoded, sequences

#: What weights can be stored as.
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
#: A density is stored as float32 if no test code's log-density changes by more nats than this, and
#: no number of a draw by more than this share of the draws' spread (but for one draw in a
#: thousand, where a mixture may choose another component).
NATS, SHIFT, DRAWS = 0.01, 1e-4, 2000
#: What is lost from one value to another, by what codecs call how well things come back.
LOST: dict[str, Callable[[float, float], float]] = {
    "reconstruction": lambda before, after: before - after,
    "squared_error": lambda before, after: after / before - 1,
}
#: What is kept of an evaluation; definitions are in the code.
KEPT = (
    *("date", "n", "seed", "device", "held_out", "numbers", "intervals_95", "densities"),
    *("training_data", "reference", "measured_on", "others", "features"),
)


class Refused(ValueError):
    """What should be shipped is not what was trained, and why."""


def rounded(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors with their float32 matrices in another type, contiguous and with own memory.

    Raises:
        Refused: A number is too large for it.
    """
    done = {}
    for name, value in tensors.items():
        matrix = value.dtype == torch.float32 and value.ndim > 1
        done[name] = value.detach().to(dtype if matrix else value.dtype).clone().contiguous()
        if matrix and not bool(done[name].float().isfinite().all()):
            raise Refused(f"{name} holds numbers too large for {dtype}: choose another --dtype")
    return done


def single(fitted: LatentDensity, name: str, z: Tensor) -> dict[str, Tensor] | None:
    """A density's tensors as float32, or None where it would not be the same density any more."""
    tensors = {
        key: (value.float() if value.is_floating_point() else value).clone().contiguous()
        for key, value in fitted.state_dict().items()
    }
    again = density(name, **fitted.settings())
    again.load_state_dict(tensors)
    rows = torch.arange(DRAWS)
    drawn, redrawn = fitted.sample_rows(0, rows), again.sample_rows(0, rows)
    codes = torch.cat([z, drawn])
    nats = float((fitted.log_prob(codes) - again.log_prob(codes)).abs().max())
    moved = ((drawn - redrawn).abs() / drawn.std(0)).amax(1)
    shift = float(moved.quantile(0.999))
    print(f"  {name} in float32: {nats:.2g} nats, draws moved by {shift:.2g} of their spread")
    return tensors if nats <= NATS and shift <= SHIFT else None


@dataclass(frozen=True)
class TestSet:
    """What a run and what was written of it are compared on.

    Attributes:
        x: As the encoder reads it, (n, ...).
        texts: As the codec knows them.
        rejected: What could not be encoded; it counts as missed.
    """

    x: Tensor
    texts: list[str | None]
    rejected: int = 0

    def agreement(self, run: Run) -> tuple[str, float]:
        """How well all of it comes back, in the measure of the codec, and its name."""
        found = decoded(run, run.codes(self.x)) + [None] * self.rejected
        ((name, value),) = run.codec.agreement(self.texts + [""] * self.rejected, found).items()
        return name, float(value)


def test_set(run: Run, files: Sequence[str], most: int) -> TestSet:
    """At most so many texts or images that the run has not learnt from, encoded.

    Raises:
        Refused: There are none.
    """
    if isinstance(run.codec, ImageCodec):
        return test_images(run, run.codec, files, most)
    learnt = {part.get("sha256") for part in run.card.get("data", [])}
    texts: list[str] = []
    for file in files:
        found = [text for text in texts_of(file, whole_lines=not run.molecules) if text]
        known = data_digest(file) in learnt
        texts += held_out(run, None, found).texts if known else found
    chosen = [texts[row] for row in some(len(texts), most, 0)]
    if not chosen:
        raise Refused("no text in --data that the run has not learnt from: name another file")
    data = sequences(run, chosen)
    return TestSet(data.x, data.texts, len(data.rejects))


def test_images(run: Run, codec: ImageCodec, files: Sequence[str], most: int) -> TestSet:
    """``test_set`` of images; a part of a source that was not learnt from is another source."""
    learnt = {
        (part.get("sha256"), divided(part.get("file", ""))[1]) for part in run.card.get("data", [])
    }
    parts = []
    for file in files:
        data, _ = images_of(codec, file)
        known = (source_digest(file), divided(file)[1]) in learnt
        whole = data.bytes(range(len(data)))
        parts.append(held_images(run, None, data).pixels if known else whole)
    pixels = np.concatenate(parts)
    x = torch.from_numpy(unit(pixels[some(len(pixels), most, 0)]))
    return TestSet(x, list(codec.decode(x)))


def card_of(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """The card of a shipped model: what is known of the run, how it was made, what it reaches.

    Raises:
        Refused: The metrics are of another run, or the machine is not known.
    """
    card = dict(run.card)
    commands = [plain(each) for each in options.command or [card.get("command") or ""]]
    settings = run.config.get("training", {})
    card |= {
        "command": commands[0],
        "recipe": {
            "commands": commands,
            "seed": settings.get("seed"),
            "data": {part["file"]: part.get("sha256") for part in card.get("data", [])},
            "machine": options.machine or here(card.get("training", {}).get("device", "cpu")),
            "seconds": card.get("training", {}).get("seconds"),
        },
    }
    for name, value in (("about", options.about), ("notes", options.note)):
        if value:
            card[name] = value
    metrics = dict(card.get("metrics", {}))
    nats = metrics.get("densities", {}).get("nats", {})
    if nats:
        there = {name: nats[name] for name in nats if name in ("prior", *run.densities)}
        metrics["densities"] = metrics["densities"] | {"nats": there}
    if options.metrics is not None:
        metrics["evaluation"] = evaluation(options.metrics, card)
    card["metrics"] = metrics
    return card


def evaluation(file: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """What ``molae evaluate`` wrote as JSON, without what is not of this model.

    Raises:
        Refused: It was measured on another run.
    """
    found = json.loads(file.read_text(encoding="utf-8"))
    if found.get("made") != card.get("created"):
        raise Refused(
            f"{file} was measured on a run made {found.get('made')}, and this one was made "
            f"{card.get('created')}: evaluate this one"
        )
    return {name: found[name] for name in KEPT if found.get(name) is not None}


def plain(command: str) -> str:
    """A command line with file names only: where things lay on one machine helps nobody else."""
    words = (Path(word).name if "/" in word else word for word in shlex.split(command))
    return shlex.join(words)


def here(device: str) -> str:
    """This machine, in a few words, for a run that was trained on its processor.

    Raises:
        Refused: It was trained on another device.
    """
    if device != "cpu":
        raise Refused(f"the run was trained on {device}: say of which machine with --machine")
    found = machine()
    return f"{found['processor']}, {found['cores']} cores"


def write(run: Run, folder: Path, dtype: str, z: Tensor) -> None:
    """Write a run with fewer bytes; its card is written last and vouches for all else."""
    run.save(folder)
    files = {WEIGHTS: rounded(run.model.state_dict(), DTYPES[dtype])}
    single_ones = {}
    for name, fitted in run.densities.items():
        tensors = single(fitted, name, z)
        single_ones[name] = tensors is not None
        if tensors is not None:
            files[f"densities/{name}.safetensors"] = tensors
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    card["stored"] = {
        "weights": dtype,
        "densities": {name: "fp32" if small else "fp64" for name, small in single_ones.items()},
    }
    for name, tensors in files.items():
        save_file(tensors, folder / name)
        card["digests"][name] = digest(folder / name)
    put_card(folder, card)
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)  # they come from a library that lets nobody else read them


def put_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write a card as runs have it."""
    (folder / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", "utf-8")


def compared(run: Run, folder: Path, data: TestSet, margin: float) -> dict[str, Any]:
    """How well data comes back from a run, and from what was written of it.

    Raises:
        Refused: More than ``margin`` of it was lost.
    """
    shipped = Run.load(folder, "cpu")
    (name, before), (_, after) = (data.agreement(each) for each in (run, shipped))
    count, lost = len(data.texts) + data.rejected, LOST[name](before, after)
    called = name.replace("_", " ")
    print(f"  {called} of {count:,}: {before:.6g} before, {after:.6g} after")
    if lost > margin:
        raise Refused(
            f"{lost:.2%} of {called} would be lost, more than --margin {margin:.2%}: choose "
            "another --dtype"
        )
    shipped.card["stored"][name] = {
        run.codec.items: count,
        "as_trained": before,
        "as_stored": after,
    }
    return shipped.card


def ship(options: argparse.Namespace) -> None:
    """Write, compare, and put in place."""
    target: Path = options.output
    if target.exists():
        check_replaceable(target)
    run = Run.load(options.run, "cpu")
    names = options.densities.split(",") if options.densities else list(run.densities)
    run.densities = {name: run.densities[name] for name in names}
    run.config["densities"] = {name: run.config["densities"][name] for name in names}
    run.card = card_of(run, options)
    settings = run.config.get("training", {})
    if settings.get("start_from"):  # a place on one machine helps nobody else
        settings["start_from"] = Path(settings["start_from"]).name
    data = test_set(run, options.data, options.number)
    part = target.with_name(f".part-{target.name}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        write(run, part, options.dtype, run.codes(data.x))
        put_card(part, compared(run, part, data, options.margin))
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"  {size:,} bytes in {target}")


def parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("run", type=Path, help="a finished run")
    made.add_argument("output", type=Path, help="data/weights/NAME")
    made.add_argument("--data", nargs="+", required=True, help="to compare on")
    made.add_argument("--dtype", choices=DTYPES, default="fp16")
    made.add_argument("--margin", type=float, default=0.002, help="what may be lost, a share")
    made.add_argument("--number", type=int, default=5000, help="to compare on, at most")
    made.add_argument("--densities", help="those to keep, with commas; all by default")
    made.add_argument("--metrics", type=Path, help="JSON of molae evaluate")
    made.add_argument("--command", action="append", help="of the recipe; may be repeated")
    made.add_argument("--machine", help="that it was trained on; this one by default")
    made.add_argument("--about", help="what it is, for molae info")
    made.add_argument("--note", action="append", help="for molae info; may be repeated")
    return made


def main() -> None:
    """Ship, or say why not."""
    try:
        ship(parser().parse_args())
    except ValueError as error:
        sys.exit(f"refused: {error}")


if __name__ == "__main__":
    main()
