"""``molae``: all commands together. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

import molae

from . import (
    data,
    decode,
    demo,
    densities,
    density,
    encode,
    evaluate,
    generate,
    grammar,
    info,
    interpolate,
    neighbors,
    objectives,
    optimize,
    oracles,
    prepare,
    reconstruct,
    score,
    suggest,
    tell,
    train,
)
from .errors import Commands
from .options import examples

app = typer.Typer(
    name="molae",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "molae demo",
        "molae train my.smi -o my-model --time 30m",
        "molae generate -n 1000 -o new.smi",
        "molae COMMAND --help",
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"molae {molae.__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print it and end.")
    ] = False,
) -> None:
    """Train autoencoders on molecules and draw new, always valid ones."""


for module, command in (
    (demo, demo.demo),
    (prepare, prepare.prepare),
    (train, train.train),
    (generate, generate.generate),
    (encode, encode.encode),
    (decode, decode.decode),
    (reconstruct, reconstruct.reconstruct),
    (evaluate, evaluate.evaluate),
    (interpolate, interpolate.interpolate),
    (neighbors, neighbors.neighbors),
    (optimize, optimize.optimize),
    (suggest, suggest.suggest),
    (tell, tell.tell),
    (score, score.score),
    (info, info.info),
    (objectives, objectives.objectives),
    (densities, densities.densities),
    (oracles, oracles.oracles),
):
    app.command(epilog=module.EXAMPLES)(command)
app.add_typer(density.app, name="density")
app.add_typer(grammar.app, name="grammar")
app.add_typer(data.app, name="data")


def _reflow(group: typer.Typer) -> None:
    """Let help fill the screen, whatever its width; typer keeps the line breaks of docstrings."""
    for command in group.registered_commands:
        text = inspect.cleandoc(command.help or command.callback.__doc__ or "")
        command.help = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    for below in group.registered_groups:
        if below.typer_instance is not None:
            _reflow(below.typer_instance)


_reflow(app)
