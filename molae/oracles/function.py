"""Somebody's own Python function as an oracle."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from secrets import token_hex
from types import ModuleType
from typing import Any, cast

from molae.names import closest
from molae.oracles.base import (
    FAILURES,
    Answer,
    Oracle,
    OracleError,
    described,
    each_alone,
    failure,
)

#: A list of texts -> for each a number, or a mapping with ``score``.
Scorer = Callable[[list[str]], Iterable[Any]]


class Function(Oracle):
    """A Python function: a list of texts in, for each a number or a dict with ``score`` out.

    The other entries of a dict are parts of the score. A function says which there will be by an
    attribute ``parts``, a sequence of names, so that tables have columns for them from the start.
    Where a call fails or returns another number of results, it is repeated for one text at a time.

    Another process finds a function again by its name, so it is never sent there. One without a
    name, given as it is, is sent there (by cloudpickle, so it may be a lambda), and no cache has
    scores of it: nothing says whether it is the one of before.

    Args:
        target: ``package.module:function``, which is looked for where Python finds modules and
            in the current folder; or ``path/file.py:function``. Behind the colon there may be
            dots, as in ``Class.method``. Or the function.

    Raises:
        ValueError: There is no such file, module or function, the module cannot be imported, or
            what is named or given is no function.
    """

    together = True

    def __init__(self, target: str | Scorer) -> None:
        self._function: Scorer | None = None
        self._given = not isinstance(target, str)
        if not isinstance(target, str):
            self._name = _name_of(target)
            self._function, self._source = target, token_hex(32)
            self._columns = _parts_of(target, self._name)
            return
        place, colon, attribute = target.strip().rpartition(":")
        if not (place and colon and attribute):
            raise ValueError(
                f"{target!r}: expected package.module:function or path/file.py:function"
            )
        self._name = f"{place}:{attribute}"
        # Another process may start in another folder.
        self._place = str(Path(place).expanduser().resolve()) if _is_file(place) else place
        self._attribute = attribute
        module = _module(self._place)
        function = _find(module, attribute, place)
        self._columns = _parts_of(function, self._name)
        self._source = _digest(module, function)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | ({} if self._given else {"_function": None})

    @property
    def name(self) -> str:
        """What was typed; of a function that was given, its module and name."""
        return self._name

    @property
    def columns(self) -> tuple[str, ...]:
        """What the function's attribute ``parts`` names."""
        return self._columns

    @property
    def settings(self) -> dict[str, Any]:
        """The digest of the file that holds the function; not of what that file imports.

        Of a function that was given, a number that no other has.
        """
        return {"source": self._source}

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Call the function, see ``Oracle.answer``."""
        return each_alone(self._ask, texts)

    def _ask(self, texts: Sequence[str]) -> list[Answer]:
        """The answers to one call.

        Raises:
            OracleError: Not one result for each text.
            Exception: Whatever the function raises.
        """
        if self._function is None:
            self._function = _find(_module(self._place), self._attribute, self._place)
        returned = self._function(list(texts))
        wanted = f"expected a list of {len(texts)} numbers or dicts"
        if isinstance(returned, (str, Mapping)) or not isinstance(returned, Iterable):
            raise OracleError(f"{self.name} returned {_shown(returned)}; {wanted}")
        results = list(returned)
        if len(results) != len(texts):
            raise OracleError(f"{self.name} returned {len(results)} results; {wanted}")
        return [self._answer(result) for result in results]

    def _answer(self, result: Any) -> Answer:
        """What one result says."""
        parts = dict.fromkeys(self._columns, math.nan)
        try:
            if not isinstance(result, Mapping):
                return Answer(_number("score", result), parts)
            if "score" not in result:
                keys = ", ".join(map(str, result)) or "nothing"
                raise OracleError(f"{self.name} returned a dict without 'score', with {keys}")
            given = {str(key): _number(key, value) for key, value in result.items()}
            score = given.pop("score")
            return Answer(score, parts | given)
        except OracleError as error:
            return failure(error, parts)


def _number(name: Any, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise OracleError(f"{name} is {_shown(value)}, expected a number") from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_file(place: str) -> bool:
    return place.endswith(".py")


def _module(place: str) -> ModuleType:
    """The module with this name, or in this file.

    Raises:
        ValueError: There is none, or it cannot be imported.
    """
    if _is_file(place) and not Path(place).is_file():
        raise ValueError(f"{place}: there is no such file")
    try:
        return _from_file(Path(place)) if _is_file(place) else _from_name(place)
    except FAILURES as error:
        if isinstance(error, ModuleNotFoundError) and _leads_to(error.name, place):
            raise ValueError(
                f"there is no module {error.name!r}, neither installed nor in {Path.cwd()}; "
                "for a file write path/file.py:function"
            ) from None
        raise ValueError(f"{place} cannot be imported: {described(error)}") from error


def _leads_to(missing: str | None, place: str) -> bool:
    """Whether the missing module is the wanted one or holds it, not one that it imports."""
    return missing is not None and f"{place}.".startswith(f"{missing}.")


def _from_name(name: str) -> ModuleType:
    _search(Path.cwd())
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    """The module in a file; its name holds the digest, so that an edited file is read anew."""
    content = path.read_bytes()
    digest = hashlib.sha256(bytes(path) + b"\0" + content).hexdigest()
    name = f"{path.stem}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    _search(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python source")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and others look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _search(folder: Path) -> None:
    """Let modules in a folder be imported, behind all others."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _find(module: ModuleType, attribute: str, place: str) -> Scorer:
    """A function of the module at a place; ValueError if there is none."""
    try:
        found = reduce(getattr, attribute.split("."), cast("Any", module))
    except AttributeError:
        known = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        hint = closest(attribute, dict.fromkeys(known)) if known else "it defines no function"
        raise ValueError(f"{place}: there is no function {attribute!r}; {hint}") from None
    if not callable(found):
        kind = type(found).__name__
        raise ValueError(f"{place}: {attribute!r} is of type {kind}, expected a function")
    return cast("Scorer", found)


def _name_of(function: Scorer) -> str:
    """The module and the name of a function; ValueError where it is none."""
    if not callable(function):
        raise ValueError(
            f"the oracle is of type {type(function).__name__}; expected its name, an Oracle, or a "
            "function from a list of texts to a list of scores"
        )
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', None) or type(function).__module__}:{name}"


def _parts_of(function: Scorer, name: str) -> tuple[str, ...]:
    """What a function says its parts are."""
    parts = getattr(function, "parts", ())
    if isinstance(parts, (list, tuple)) and all(isinstance(part, str) for part in parts):
        return tuple(part for part in parts if part != "score")
    raise ValueError(f"{name}: its attribute parts is {parts!r}, expected a list of names")


def _digest(module: ModuleType, function: Scorer) -> str:
    """SHA-256 of the files that a function is named in and comes from."""
    home = sys.modules.get(getattr(function, "__module__", None) or "", module)
    files = sorted({str(getattr(m, "__file__", None) or "") for m in (module, home)})
    found = hashlib.sha256()
    for file in files:
        if Path(file).is_file():
            found.update(Path(file).read_bytes())
    return found.hexdigest()
