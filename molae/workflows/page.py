"""The page of an evaluation: one HTML file with all that it shows inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

import numpy as np

from molae.chem.drawing import picture
from molae.names import DENSITIES, PROPERTIES
from molae.resources import report_template
from molae.workflows import svg
from molae.workflows.evaluation import DATA, HELD_OUT, REFERENCE, Evaluation

#: Pixels of a molecule.
_SIZE = (220, 180)
#: What stands where a number could not be had.
_NOTHING = "&ndash;"


def page(done: Evaluation) -> str:
    """The whole page; it links to nothing and runs nothing."""
    title = f"Evaluation of {done.about['run'] or 'a model'}"
    sections = [
        _about(done),
        tiles(done),
        notes(done),
        _table(done),
        _molecules(done),
        _histograms(done),
        _map(done),
        _strips(done),
        glossary(done),
    ]
    body = "\n".join(section for section in sections if section)
    return Template(report_template()).substitute(title=escape(title), body=body)


def shown(value: float | None) -> str:
    """A number for people: four figures, and 1 or 100 only where it is all.

    ``None`` is a dash; a share of 0.99997 is 0.9999 and not 1.000.
    """
    if value is None:
        return _NOTHING
    if float(value).is_integer():
        return f"{value:,.0f}"
    text = f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
    return "0.9999" if text == "1.0000" and value < 1 else text


def _about(done: Evaluation) -> str:
    about = done.about
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    held = about["held_out"]
    noise = about.get("noise")
    told = f", from codes with noise of {noise:g} that the decoder is told of" if noise else ""
    date = str(about["date"]).replace("T", " ").replace("+00:00", " UTC")
    lines = [
        f"{date}, {versions}, on {about['device']}.",
        f"{about['n']:,} molecules from each density, seed {about['seed']}, decoded greedily"
        f"{told}.",
        f"Held-out molecules: {held['molecules']:,} ({held['source']}).",
    ]
    text = "<br>".join(escape(line) for line in lines)
    command = about.get("command")
    made = f"<br>Trained by <code>{escape(str(command))}</code>" if command else ""
    return f'<p class="soft">{text}{made}</p>'


def meaning(done: Evaluation, name: str) -> str:
    """The definition of a number, and on how much it was measured."""
    size = done.sizes.get(name)
    measured = f" Measured on {size:,}." if size else ""
    return escape(done.definitions.get(name, name) + measured)


def words(name: str) -> str:
    """The name of a number, for people."""
    return escape(name.replace("_", " "))


def tiles(done: Evaluation) -> str:
    """The numbers of the run as a whole."""
    shown_ones = []
    for name, value in done.numbers.items():
        sure, size = done.sure(name, value), done.sizes.get(name)
        below = f"<span>{between(sure)}</span>" if sure else ""
        below += f"<span>n = {size:,}</span>" if size else ""
        shown_ones.append(
            f'<div class="tile"><span title="{meaning(done, name)}">{words(name)}</span>'
            f"<b>{shown(value)}</b>{below}</div>"
        )
    return f'<h2>The model</h2>\n<div class="tiles">{"".join(shown_ones)}</div>'


def notes(done: Evaluation) -> str:
    """What is missing, doubtful or promised."""
    items = "".join(f"<li>{escape(note)}</li>" for note in done.notes)
    return f"<h2>Notes</h2>\n<ul>{items}</ul>" if items else ""


def _table(done: Evaluation) -> str:
    sets, fitted = done.sets(), done.about.get("fitted", {})
    about = DENSITIES | {
        DATA: "molecules that the model learnt from, as if they had been generated",
        REFERENCE: "the molecules that all others are compared with",
    }
    head = "".join(
        f'<th scope="col"><span title="{escape(about.get(name, name))}">{escape(name)}</span>'
        f"<small>{escape(fitted.get(name, ''))}</small></th>"
        for name in sets
    )
    bodies = []
    for group, names in done.groups().items():
        rows = [f'<tr class="group"><th colspan="{1 + len(sets)}">{escape(group)}</th></tr>']
        for name in names:
            cells = "".join(
                _cell(done, name, numbers.get(name), who in done.densities)
                for who, numbers in sets.items()
            )
            tip = f'<span title="{meaning(done, name)}">{words(name)}</span>'
            rows.append(f'<tr><th scope="row">{tip}</th>{cells}</tr>')
        bodies.append(f"<tbody>{''.join(rows)}</tbody>")
    said = (
        "A column for each density that molecules were drawn from. What the rows are stands at "
        "the end of this page. A dash is what was not or could not be measured; the notes say why."
    )
    return (
        f'<h2>What it writes</h2>\n<p class="soft">{said}</p>\n'
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead>{"".join(bodies)}'
        "</table></div>"
    )


def _cell(done: Evaluation, name: str, value: float | None, generated: bool) -> str:
    """A number, and how sure it is if it is a share of what was generated."""
    sure = done.sure(name, value) if generated else None
    tip = f' title="{between(sure)}"' if sure else ""
    return f"<td{tip}>{shown(value)}</td>"


def between(sure: tuple[float, float]) -> str:
    """A confidence interval, for people."""
    return f"95 % confidence interval: {shown(sure[0])} to {shown(sure[1])}"


def _molecules(done: Evaluation) -> str:
    parts = []
    for name, smiles in done.pictures.molecules.items():
        drawn = _drawn(smiles) if smiles else "<p>None of its draws is a molecule.</p>"
        parts.append(f"<h3>{escape(name)}</h3>\n{drawn}")
    if not parts:
        return ""
    said = "The first different molecules of each density, and of the reference; none was chosen."
    return "\n".join(["<h2>Molecules</h2>", f'<p class="soft">{said}</p>', *parts])


def _drawn(smiles: Sequence[str | None], captions: Sequence[str] = ()) -> str:
    """Molecules beside each other, in one row if they have captions, and their SMILES below."""
    figures = []
    for place, text in enumerate(smiles):
        data = base64.b64encode(picture(text, _SIZE).encode()).decode("ascii")
        caption = f"<figcaption>{escape(captions[place])}</figcaption>" if captions else ""
        figures.append(
            f'<figure><img alt="{escape(text or "nothing")}" '
            f'src="data:image/svg+xml;base64,{data}">{caption}</figure>'
        )
    kind = "molecules row" if captions else "molecules"
    listed = escape("\n".join(text or "" for text in smiles))
    return (
        f'<div class="{kind}">{"".join(figures)}</div>\n'
        f"<details><summary>SMILES</summary><pre>{listed}</pre></details>"
    )


def _histograms(done: Evaluation) -> str:
    pictures = done.pictures
    lines = [name for name in pictures.properties if name != REFERENCE]
    if not lines:
        return ""
    plots = []
    names = list(dict.fromkeys(k for table in pictures.properties.values() for k in table))
    for name in names:
        series = {
            who: pictures.properties[who][name]
            for who in [*lines, REFERENCE]
            if who in pictures.properties
        }
        plots.append(svg.histogram(series, _property(name), filled=REFERENCE))
    keys = [
        f'<li class="c{number}"><i></i>{escape(name)}</li>' for number, name in enumerate(lines)
    ]
    if REFERENCE in pictures.properties:
        keys.append(f'<li><i class="area"></i>{REFERENCE}</li>')
    said = (
        "Shares of the molecules of each set: heights can be compared. The outermost values at "
        "each end are not shown."
    )
    return (
        f'<h2>Properties</h2>\n<p class="soft">{said}</p>\n<ul class="key">{"".join(keys)}</ul>\n'
        f'<div class="plots broad">{"".join(plots)}</div>'
    )


def _property(name: str) -> str:
    return f"{name}: {PROPERTIES[name]}" if name in PROPERTIES else name


def _map(done: Evaluation) -> str:
    pictures = done.pictures
    if not pictures.points:
        return ""
    window = svg.window(np.concatenate(list(pictures.points.values())))
    every = np.concatenate(list(pictures.colours.values()))
    known = every[np.isfinite(every)]
    span = tuple(np.quantile(known, (0.02, 0.98)).tolist()) if len(known) else (0.0, 1.0)
    order = sorted(pictures.points, key=lambda name: name != HELD_OUT)
    plots = []
    for name in order:
        values = pictures.colours.get(name, np.full(len(pictures.points[name]), np.nan))
        drawing = svg.cloud(
            pictures.points[name], values, name, window=window, span=(span[0], span[1])
        )
        plots.append(f"<figure><figcaption>{escape(name)}</figcaption>{drawing}</figure>")
    by = pictures.coloured_by
    share = " and ".join(f"{100 * part:.0f} %" for part in pictures.spread)
    said = (
        "Codes of held-out molecules and of generated ones on the two axes in which those of the "
        f"held-out molecules spread most (principal components, {share} of their variance); "
        f"each in the colour of its molecule's {by}, lighter where it is higher, and hollow where "
        "there is no molecule."
    )
    scale = svg.scale(_property(by), (span[0], span[1]))
    return (
        f'<h2>Map of the codes</h2>\n<p class="soft">{escape(said)}</p>\n{scale}\n'
        f'<div class="plots">{"".join(plots)}</div>'
    )


def _strips(done: Evaluation) -> str:
    strips = [_drawn(*_points(rows)) for rows in done.pictures.strips]
    if not strips:
        return ""
    said = (
        "What the codes between two held-out molecules decode to, greedily. The ends are what the "
        "codes of the two decode to, which need not be the two themselves. Below each molecule: "
        "how far along it is, and its Tanimoto similarity (Morgan, radius 2, 2,048 bits) to the "
        "first and to the last of the two."
    )
    return "\n".join(["<h2>Interpolations</h2>", f'<p class="soft">{said}</p>', *strips])


def _points(rows: Sequence[dict[str, Any]]) -> tuple[list[str | None], list[str]]:
    """Molecules of an interpolation and the line under each."""
    captions = [
        f"{100 * row['t']:.0f} %"
        + (f": {row['to_first']:.2f}, {row['to_last']:.2f}" if "to_last" in row else "")
        for row in rows
    ]
    return [row["smiles"] for row in rows], captions


def glossary(done: Evaluation) -> str:
    """What every number is."""
    used = {*done.numbers, *done.columns()}
    items = "".join(
        f"<dt>{words(name)}</dt><dd>{meaning(done, name)}</dd>"
        for name in done.definitions
        if name in used
    )
    return f"<h2>What the numbers mean</h2>\n<dl>{items}</dl>"
