"""The page of an evaluation of a run of images: one HTML file with all that it shows inside."""

from __future__ import annotations

from html import escape
from string import Template

from molae.names import DENSITIES
from molae.resources import report_template
from molae.workflows.evaluation import DATA
from molae.workflows.image_evaluation import MIDDLES, RECONSTRUCTIONS, ImageEvaluation
from molae.workflows.page import glossary, meaning, notes, shown, tiles, words

#: What the rows are that no density drew.
_OTHERS = {
    RECONSTRUCTIONS: "what the codes of held-out images decode to",
    **{name: f"the middle between two held-out codes, {kind}" for kind, name in MIDDLES.items()},
    DATA: "images that the model learnt from, as if they had been generated: what real ones reach",
}


def image_page(done: ImageEvaluation) -> str:
    """The whole page; it links to nothing and runs nothing."""
    title = f"Evaluation of {done.about['run'] or 'a model'}"
    sections = [
        _about(done),
        tiles(done),
        notes(done),
        _table(done),
        _truth(done),
        _sets(done),
        _ways(done),
        glossary(done),
    ]
    body = "\n".join(section for section in sections if section)
    return Template(report_template()).substitute(title=escape(title), body=body)


def _about(done: ImageEvaluation) -> str:
    about = done.about
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    date = str(about["date"]).replace("T", " ").replace("+00:00", " UTC")
    held, net = about["held_out"], about["features"]
    lines = [
        f"{date}, {versions}, on {about['device']}.",
        f"{about['n']:,} images of each set, seed {about['seed']}, beside {about['reference']:,} "
        f"real ones, in features of {net['name']} ({net['digest'][:12]}).",
        f"Held-out images: {held['images']:,} ({held['source']}).",
    ]
    text = "<br>".join(escape(line) for line in lines)
    command = about.get("command")
    made = f"<br>Trained by <code>{escape(str(command))}</code>" if command else ""
    return f'<p class="soft">{text}{made}</p>'


def _table(done: ImageEvaluation) -> str:
    columns = done.columns()
    head = "".join(
        f'<th scope="col"><span title="{meaning(done, name)}">{words(name)}</span></th>'
        for name in columns
    )
    rows = []
    for name, numbers in done.sets().items():
        tip = escape((DENSITIES | _OTHERS).get(name, name))
        cells = "".join(f"<td>{shown(numbers.get(column))}</td>" for column in columns)
        label = f'<span title="{tip}">{escape(done.label(name))}</span>'
        rows.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
    said = (
        "A row for each density that images were drawn from, then reconstructions, the middles "
        "between codes, and real images. What the columns are stands at the end of this page. A "
        "dash is what was not or could not be measured; the notes say why."
    )
    return (
        f'<h2>What it makes</h2>\n<p class="soft">{said}</p>\n<div class="wide"><table><thead>'
        f"<tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _truth(done: ImageEvaluation) -> str:
    if done.images.truth is None:
        return ""
    first, again = done.images.truth
    return (
        "<h2>Reconstructions</h2>\n"
        '<p class="soft">Held-out images, and in the same places what their codes decode to; none '
        f'was chosen.</p>\n<div class="plots broad">{_figure(first, "ground truth")}'
        f"{_figure(again, 'reconstructions')}</div>"
    )


def _sets(done: ImageEvaluation) -> str:
    figures = "".join(_figure(data, done.label(name)) for name, data in done.images.sets.items())
    if not figures:
        return ""
    return (
        '<h2>Images</h2>\n<p class="soft">The first of each set; none was chosen.</p>\n'
        f'<div class="plots broad">{figures}</div>'
    )


def _ways(done: ImageEvaluation) -> str:
    if not done.images.ways:
        return ""
    said = (
        "What the codes on straight lines between two held-out images decode to, a row for each "
        "pair. The ends are what the codes of the two decode to."
    )
    figure = _figure(done.images.ways, "interpolations")
    return (
        f'<h2>Interpolations</h2>\n<p class="soft">{said}</p>\n<div class="plots">{figure}</div>'
    )


def _figure(data: str, caption: str) -> str:
    """A grid, with its pixels as they are."""
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<img alt="{escape(caption)}" src="{data}" style="image-rendering: pixelated; '
        'margin: 10px auto; border-radius: 0"></figure>'
    )
