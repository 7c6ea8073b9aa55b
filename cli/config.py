"""``--config FILE.toml``: option values from a file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import typer

from molae.names import closest


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the values of a TOML file the defaults of the command's options.

    A key is an option as it is typed, without the leading dashes (``latent-dim`` or
    ``latent_dim``), or the name of the library's argument.

    Raises:
        typer.BadParameter: The file cannot be read, or has a key that is no option.
    """
    if path is None or ctx.resilient_parsing:
        return path
    names = _names(ctx)
    defaults: dict[str, Any] = {}
    for key, value in _table(path).items():
        plain = key.replace("-", "_")
        if plain not in names:
            known = {name: name for name in names}
            raise typer.BadParameter(
                f"{path}: unknown option {key!r}: {closest(plain, known)}", ctx=ctx
            )
        if isinstance(value, dict):
            raise typer.BadParameter(f"{path}: {key} is a table; expected a value", ctx=ctx)
        name, many = names[plain]
        defaults[name] = _typed(value, many)
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return path


def _typed(value: Any, many: bool) -> Any:
    """Numbers stay numbers, dates and such become the text that was typed."""
    if many:
        return [_typed(each, False) for each in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, (bool, int, float)) else str(value)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: not a TOML file: {error}") from error


def _names(ctx: typer.Context) -> dict[str, tuple[str, bool]]:
    """What may stand in the file -> (the parameter, whether it takes several values)."""
    found = {}
    for parameter in ctx.command.params:
        if parameter.name in ("config", "help"):
            continue
        many = parameter.nargs != 1 or getattr(parameter, "multiple", False)
        words = [opt.lstrip("-") for opt in parameter.opts if opt.startswith("--")]
        for word in [str(parameter.name), *words]:
            found[word.replace("-", "_")] = (str(parameter.name), many)
    return found
