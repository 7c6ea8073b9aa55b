"""A grammar restricted to what a training set uses, with bracket atoms fused into single tokens.

``smiles.cfg`` spells ``[C@@H]`` as four tokens, so that every element, isotope and charge can be
written. A model trained on drug-like molecules needs a dozen of them: as one token each,
derivations get shorter by an eighth on ZINC. The language shrinks to the tokens seen; what keeps a
derivation finishable stays in always.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from molae.grammar.cfg import Grammar
from molae.grammar.smiles import read_token
from molae.grammar.valences import organic_capacities

#: Kekule SMILES in tokens; bracket atoms and ring-bond numbers above 9 are one each.
TOKEN = re.compile(r"\[[^\]]*\]|%\d\d|Cl|Br|.", re.DOTALL)
#: Tokens that every restricted grammar has: carbons fill valences and close rings
#: (``smiles.FILL``).
CORE = frozenset({"C", "=", "#", "(", ")", "1", "2"})

_ORGANIC = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I", "B")


def tokens_of(texts: Iterable[str]) -> set[str]:
    """The tokens that Kekule SMILES use, bracket atoms whole."""
    seen: set[str] = set()
    for text in texts:
        seen.update(TOKEN.findall(text))
    return seen


def tokens_in(grammar: Grammar) -> set[str]:
    """The tokens of a grammar made by ``restricted``."""
    return {terminal for terminal in grammar.terminals if terminal}


def _number(token: str) -> int:
    meaning = read_token(token)
    return meaning.number if meaning else 0


def restricted(tokens: Iterable[str], name: str = "restricted smiles") -> Grammar:
    """The grammar of all molecules over some tokens.

    Args:
        tokens: Kekule SMILES tokens; those that no molecule can hold are left out. ``CORE`` is
            added, and so are all ring-bond numbers up to the largest.
        name: For messages.

    Returns:
        A grammar in the form of ``smiles.cfg``. Two sets of tokens share the rules that they have
        in common, letter for letter, so a model can be carried over rule by rule.
    """
    wanted = set(tokens) | CORE
    atoms = [a for a in _ORGANIC if a in wanted and a in organic_capacities()]
    fused = sorted(t for t in wanted if t.startswith("[") and len(t) > 2)
    atoms += [t for t in fused if (meaning := read_token(t)) and meaning.capacity]
    top = max(_number(token) for token in wanted)
    rings = [str(n) if n < 10 else f"%{n}" for n in range(1, top + 1)]
    bonds: list[str] = [b for b in ("=", "#", "/", "\\") if b in wanted]
    lines = [
        "# molae's SMILES grammar (smiles.cfg), restricted to the tokens of a data set.",
        "#: spelling = kekule",
        _rule("MOLECULE", atoms, "TAIL"),
        *_tail("TAIL", "BOND", atoms, bonds, rings),
        *(["TAIL -> '.' MOLECULE"] if "." in wanted else []),
        "TAIL -> ",
        _rule("BOND", [*atoms, *rings], "TAIL"),
        _rule("BRANCH", atoms, "INNER"),
        _rule("BRANCH", bonds, "INNERATOM"),
        _rule("INNERATOM", atoms, "INNER"),
        *_tail("INNER", "INNERBOND", atoms, bonds, rings),
        "INNER -> ')'",
        _rule("INNERBOND", [*atoms, *rings], "INNER"),
    ]
    return Grammar.from_text("\n".join(lines) + "\n", name)


def _rule(left: str, tokens: list[str], right: str) -> str:
    """One line, such as ``BOND -> 'C' TAIL | 'N' TAIL``."""
    return f"{left} -> " + " | ".join(f"'{token}' {right}" for token in tokens)


def _tail(left: str, bond: str, atoms: list[str], bonds: list[str], rings: list[str]) -> list[str]:
    """What may follow an atom, on the main chain or in a branch."""
    return [
        _rule(left, [*atoms, *rings], left),
        _rule(left, bonds, bond),
        f"{left} -> '(' BRANCH {left}",
    ]
