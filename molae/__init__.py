"""molae: grammar variational and regularised autoencoders for molecules and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molae.codecs import CharacterCodec, EncodeError, GrammarCodec
    from molae.grammar.cfg import Grammar
    from molae.models import Autoencoder
    from molae.runs.folder import RunError
    from molae.runs.run import Run
    from molae.sklearn import MoleculeEncoder
    from molae.training import fit
    from molae.workflows.generate import generate
    from molae.workflows.train import train

    load = Run.load

__version__ = "0.1.0"

#: Public names and where they live; each is imported when it is first used, since torch takes
#: more than a second.
_HOMES = {
    "Autoencoder": "molae.models",
    "CharacterCodec": "molae.codecs",
    "EncodeError": "molae.codecs",
    "Grammar": "molae.grammar.cfg",
    "GrammarCodec": "molae.codecs",
    "MoleculeEncoder": "molae.sklearn",
    "Run": "molae.runs.run",
    "RunError": "molae.runs.folder",
    "fit": "molae.training",
    "generate": "molae.workflows.generate",
    "train": "molae.workflows.train",
}

__all__ = [
    "Autoencoder",
    "CharacterCodec",
    "EncodeError",
    "Grammar",
    "GrammarCodec",
    "MoleculeEncoder",
    "Run",
    "RunError",
    "__version__",
    "fit",
    "generate",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    from importlib import import_module

    if name == "load":
        return import_module("molae.runs.run").Run.load
    if name not in _HOMES:
        raise AttributeError(f"module 'molae' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
