"""What a campaign leaves for people: the best texts, their picture, the trace, and a page."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from molae import __version__, pictures
from molae.chem import drawing
from molae.datasets.files import replacing
from molae.datasets.writers import open_writer
from molae.names import PROPERTIES, TASKS
from molae.oracles.ledger import Evaluation
from molae.resources import report_template
from molae.workflows import svg
from molae.workflows.campaign.record import Record
from molae.workflows.campaign.trace import TOP, Floats, write_trace

#: Texts in ``best.smi``, molecules drawn, and rows of the table on the page.
LISTED, DRAWN, TABLED = 100, 20, 50
#: Molecules in a row of a picture, and the pixels of one.
_PER_ROW, _SIZE = 5, (230, 190)
#: Pixels that an image is wide in a table.
_SIDE = 48
#: Calls that are needed to compare the beginning of a campaign with its end.
_COMPARED = 30
#: Colours of lines that the page has.
_COLOURS = 7

_PARTS_OF_TIME = {
    "ask": "fitting the surrogate and choosing candidates",
    "decode": "codes to texts and texts to codes",
    "oracle": "scoring",
    "retrain": "training the model on",
    "tell": "handing over the scores",
    "save": "writing everything down",
}
_WHAT_COUNTS = {
    "calls": "new texts that were given to the oracle: what the budget counts",
    "failures": "calls that gave no score: errors, timeouts, unmet requirements, filters",
    "cached": "calls whose answer was on disc already",
    "duplicates": "candidates that had been scored before; free",
    "known": "candidates that were known before the campaign; free",
    "invalid": "codes that were decoded to nothing valid; free",
    "beyond": "new candidates for which no call was left; not scored",
}


def write_results(
    folder: Path,
    record: Record,
    settings: Mapping[str, Any],
    *,
    molecules: bool = True,
    others: Mapping[str, Floats] | None = None,
) -> None:
    """Write ``best.smi``, ``best.png``, ``trace.png`` and ``report.html`` into the folder.

    Args:
        folder: Where.
        record: What there is to tell.
        settings: Of it, see ``Folder.settings``.
        molecules: Whether texts are SMILES, so that they can be drawn; images always can.
        others: The best so far of baselines, by name, (n,) each.

    Raises:
        DataError: A file cannot be written.
    """
    best = record.best
    with open_writer(folder / "best.smi", ("smiles", "name")) as out:
        for each in best[:LISTED]:
            out.write({"smiles": each.text, "name": str(each.answer.score)})
    if best and (molecules or pictures.is_image(best[0].text)):
        with replacing(folder / "best.png") as part:
            _grid(best[:DRAWN], part)
    traces = record.traces() | dict(others or {})
    write_trace(folder / "trace.png", traces, _title(settings), np.array(record.scores))
    page = Template(report_template()).substitute(
        title=escape(_title(settings)),
        body=_body(record, settings, traces, molecules),
    )
    with replacing(folder / "report.html") as part:
        part.write_text(page, encoding="utf-8")


def _title(settings: Mapping[str, Any]) -> str:
    aim = "lowest" if settings.get("minimize") else "highest"
    what = settings.get("oracle") or settings.get("command") or "measured values"
    return f"{settings['strategy']}: {aim} {what}"


def _body(
    record: Record, settings: Mapping[str, Any], traces: Mapping[str, Floats], molecules: bool
) -> str:
    best = record.best
    sections = [
        _about(record, settings),
        _tiles(record),
        _trace(record, traces),
        _pictures(best, molecules),
        _best_table(best),
        _parts(record),
        _counts(record),
        _failures(record),
        _seconds(record),
    ]
    return "\n".join(section for section in sections if section)


def number(value: float | None) -> str:
    """A number for people: four figures, a dash for none."""
    return "&ndash;" if value is None or value != value else f"{value:.4g}"


def _about(record: Record, settings: Mapping[str, Any]) -> str:
    if settings.get("laboratory"):
        state, what = "Scores are measured: molae suggest, then molae tell.", ["laboratory"]
    else:
        ended = record.ended
        state = f"Ended: {ended}." if ended else "Not ended: it goes on with --resume."
        what = [f"{settings['calls']:,} calls", f"batches of {record.batch}"]
    what.append(f"seed {settings['seed']}")
    if settings.get("requirements"):
        what.append("required: " + ", ".join(settings["requirements"]))
    if settings.get("filters"):
        what.append("filters: " + ", ".join(settings["filters"]))
    lines = [
        f"{settings.get('date', '')}, molae {__version__}, model {settings.get('model')}.",
        "; ".join(what) + ".",
        state,
    ]
    command = settings.get("typed")
    made = f"<br>Begun by <code>{escape(str(command))}</code>" if command else ""
    return f'<p class="soft">{"<br>".join(map(escape, lines))}{made}</p>'


def _tiles(record: Record) -> str:
    best, top = record.traces().values()
    counts = Counter(record.counts)
    shown: dict[str, str] = {
        "best score": number(float(best[-1]) if len(best) else None),
        f"mean of the best {TOP}": number(float(top[-1]) if len(top) else None),
        "calls": f"{len(record.evaluations):,}",
        "failures": f"{counts['failures']:,}",
        "duplicates, free": f"{counts['duplicates'] + counts['known']:,}",
        "invalid, free": f"{counts['invalid']:,}",
    }
    given = [score for score in record.given if score == score]
    if given:
        start = min(given) if record.minimize else max(given)
        shown[f"best of {len(given):,} to start from"] = number(start)
    tiles = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b>{value}</b></div>'
        for name, value in shown.items()
    )
    return f'<div class="tiles">{tiles}</div>'


def _trace(record: Record, traces: Mapping[str, Floats]) -> str:
    keys = "".join(
        f'<li class="c{i % _COLOURS}"><i></i>{escape(name)}</li>' for i, name in enumerate(traces)
    )
    plot = svg.lines(traces, "calls", "Scores over the calls", dots=record.scores)
    return (
        '<h2>Trace</h2>\n<p class="soft">Dots are single calls; those far off the others lie on '
        f'the edge.</p>\n<ul class="key">{keys}</ul>'
        f'\n<div class="plots broad" style="grid-template-columns: 1fr">{plot}</div>'
    )


def _grid(best: Sequence[Evaluation], path: Path) -> None:
    """Molecules with their scores, or images side by side."""
    texts = [each.text for each in best]
    if pictures.is_image(texts[0]):
        pictures.save_png(pictures.sheet(texts, _PER_ROW), path)
        return
    legends = [f"{each.answer.score:.4g}   call {each.call}" for each in best]
    drawing.grid(texts, path, legends, columns=_PER_ROW, size=_SIZE)


def _pictures(best: Sequence[Evaluation], molecules: bool) -> str:
    if not best:
        return ""
    if pictures.is_image(best[0].text):
        shown = pictures.text_of(pictures.sheet([each.text for each in best[:DRAWN]], _PER_ROW))
        return f'<h2>The best</h2>\n<img alt="the best images, row by row" src="{shown}">'
    if not molecules:
        return ""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "best.svg"
        _grid(best[:DRAWN], path)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    listed = escape(", ".join(each.text for each in best[:DRAWN]))
    return f'<h2>The best</h2>\n<img alt="{listed}" src="data:image/svg+xml;base64,{data}">'


def _shown(text: str) -> str:
    """A text in a cell: as it is written, or the image that it is."""
    if pictures.is_image(text):
        return f'<img alt="image" width="{_SIDE}" src="{text}">'
    return f"<code>{escape(text)}</code>"


def _best_table(best: Sequence[Evaluation]) -> str:
    if not best:
        return "<h2>The best</h2>\n<p>There is no score yet.</p>"
    shown = best[:TABLED]
    parts = list(dict.fromkeys(name for each in shown for name in each.answer.parts))
    rows = [
        [
            _shown(each.text),
            f"{each.call:,}",
            number(each.answer.score),
            *(number(each.answer.parts.get(name)) for name in parts),
        ]
        for each in shown
    ]
    return _table("Scores by parts", ["text", "call", "score", *map(escape, parts)], rows)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML; the first column is of names."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<h2>{title}</h2>\n<div class="wide"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _parts(record: Record) -> str:
    """Distributions of the score and its parts in the thirds of the record."""
    calls = record.evaluations
    if len(calls) < _COMPARED:
        return ""
    names = list(dict.fromkeys(name for each in calls for name in each.answer.parts))
    thirds = [calls[i * len(calls) // 3 : (i + 1) * len(calls) // 3] for i in range(3)]
    titles = ("first third of the calls", "second", "last")
    plots = []
    for name in ["score", *names]:
        series = {
            title: np.array([value for each in third if (value := _part(each, name)) == value])
            for title, third in zip(titles, thirds, strict=True)
        }
        about = PROPERTIES.get(name) or TASKS.get(name)
        plots.append(svg.histogram(series, f"{name}: {about}" if about else name))
    keys = "".join(f'<li class="c{i}"><i></i>{title}</li>' for i, title in enumerate(titles))
    return (
        f'<h2>From the first calls to the last</h2>\n<ul class="key">{keys}</ul>\n'
        f'<div class="plots broad">{"".join(plots)}</div>'
    )


def _part(evaluation: Evaluation, name: str) -> float:
    answer = evaluation.answer
    return answer.score if name == "score" else answer.parts.get(name, np.nan)


def _counts(record: Record) -> str:
    rows = [
        [name, f"{count:,}", escape(_WHAT_COUNTS.get(name, ""))]
        for name, count in record.counts.items()
    ]
    return _table("What was counted", ["", "texts", ""], rows)


def _failures(record: Record) -> str:
    reasons = record.failures
    if not reasons:
        return ""
    rows = [[escape(reason), f"{count:,}"] for reason, count in reasons.most_common(TOP)]
    return _table("Why there was no score", ["reason", "calls"], rows)


def _seconds(record: Record) -> str:
    calls = max(1, len(record.evaluations))
    rows = [
        [name, f"{seconds:,.1f}", f"{seconds / calls:.3g}", escape(_PARTS_OF_TIME.get(name, ""))]
        for name, seconds in record.seconds.items()
    ]
    return _table("Where the time went", ["", "seconds", "per call", ""], rows)
