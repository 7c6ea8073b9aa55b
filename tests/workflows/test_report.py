"""Reports: a page that stands alone, a table, JSON; and the plots on the page."""

from __future__ import annotations

import base64
import csv
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from molae.datasets.files import DataError
from molae.names import FITTED_DENSITIES
from molae.resources import report_template
from molae.workflows import svg
from molae.workflows.evaluate_run import evaluate_run
from molae.workflows.evaluation import DATA, REFERENCE, Evaluation
from molae.workflows.page import page, shown
from molae.workflows.report import check_report, write_report

#: Elements that are never closed.
VOID = {"meta", "br", "img"}


@pytest.fixture(scope="module")
def done(run, smiles):
    return evaluate_run(run, reference=None, train=smiles, n=24, workers=1)


class Reader(HTMLParser):
    """What stands on a page, and whether all that was opened was closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture(scope="module")
def read(done):
    return Reader(page(done))


def test_page_is_whole_and_stands_alone(done, read):
    assert read.open == []
    assert {"script", "link", "iframe", "a"} & {tag for tag, _ in read.seen} == set()
    for _, attrs in read.seen:
        assert not {"href", "srcset", "action"} & attrs.keys()
        assert attrs.get("src", "data:").startswith("data:")
        assert not [name for name in attrs if name.startswith("on")]
    style = re.search(r"<style>(.*)</style>", page(done), re.S)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_every_number_is_there_and_explained(done, read):
    tips = {attrs["title"] for _, attrs in read.seen if "title" in attrs}
    for name, value in done.numbers.items():
        assert any(done.definitions[name] in tip for tip in tips)
        assert value is None or shown(value) in read.text
    for name in done.columns():
        assert any(done.definitions[name] in tip for tip in tips)
        assert done.definitions[name] in read.text  # in the glossary too
    for note in done.notes:
        assert note in read.text
    cells = len(done.columns()) * len(done.sets())
    assert len(read.all("td")) == cells
    assert len(read.all("tbody")) == len(done.groups())
    assert done.about["fitted"]["gmm"] in read.text


def test_nothing_needs_a_pointer_to_be_read(done, read):
    """Without hovering: on how much each number was measured, and no raw word of a program."""
    for name, size in done.sizes.items():
        if name in done.numbers:
            assert f"n = {size:,}" in read.words
        assert f"{done.definitions[name]} Measured on {size:,}." in read.words  # the glossary
    assert not re.search(r"\b(nan|None|inf)\b", read.text)


def test_lines_are_told_apart_without_colours():
    """Each density that there is has its own dashes, in the plots and beside its name."""
    style = report_template()
    lines = r"svg \.c(\d+)\.line \{ (stroke-dasharray.*?) \}"
    keys = r"\.key \.c(\d+) i \{ (.*?) \}"
    for part in (lines, keys):
        found = dict(re.findall(part, style, re.S))
        assert list(found) == [str(number) for number in range(1, 1 + len(FITTED_DENSITIES))]
        assert len(set(found.values())) == len(found)


def test_pictures(done, read):
    images = read.all("img")
    molecules = done.pictures.molecules
    assert list(molecules) == [*done.densities, REFERENCE]
    drawn = [text for smiles in molecules.values() for text in smiles]
    drawn += [row["smiles"] for strip in done.pictures.strips for row in strip]
    assert [image["alt"] for image in images] == drawn
    for image in images:
        data = base64.b64decode(image["src"].removeprefix("data:image/svg+xml;base64,"))
        assert ET.fromstring(data).tag.endswith("svg")
    assert "\n".join(molecules["gmm"]) in read.words  # to be copied
    assert done.pictures.strips
    for row in done.pictures.strips[0]:
        place = f"{100 * row['t']:.0f} %: {row['to_first']:.2f}, {row['to_last']:.2f}"
        assert place in read.words
    plots = [ET.fromstring(text) for text in re.findall(r"<svg .*?</svg>", page(done), re.S)]
    circles = [len(plot.findall(".//circle")) for plot in plots]
    assert [count for count in circles if count] == [
        len(done.pictures.points[name]) for name in ("held out", *done.densities)
    ]
    histograms = [plot for plot in plots if plot.get("aria-label").startswith("Histogram")]
    assert len(histograms) == 4
    for plot in histograms:
        names = [title.text for title in plot.iter("title")]
        assert names == [REFERENCE, *done.densities]


def test_strange_names_do_no_harm(done):
    about = {**done.about, "run": "<b>&</b>", "command": "molae train '<x>'"}
    odd = Evaluation(about, {"odd <n>": 1.0}, {"<script>": {"a<b": 0.5}}, notes=["1 < 2 & 3"])
    odd.pictures.molecules["<script>"] = []
    odd.pictures.properties["<script>"] = {"logp": np.array([])}
    read = Reader(page(odd))
    assert read.open == []
    assert not read.all("script")
    assert "Evaluation of <b>&</b>" in read.text
    assert "1 < 2 & 3" in read.text
    assert "nothing to draw" in read.text
    assert "None of its draws" in read.text


def test_table(done, tmp_path):
    path = tmp_path / "report.csv"
    write_report(done, path)
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["density"] for row in rows] == [*done.densities, DATA, REFERENCE]
    for row in rows[: len(done.densities)]:
        for name, value in done.densities[row["density"]].items():
            assert row[name] == "" if value is None else float(row[name]) == value
        assert float(row["reconstruction"]) == done.numbers["reconstruction"]
    assert rows[-1]["reconstruction"] == ""


def test_values(done, tmp_path):
    path = tmp_path / "report.json"
    write_report(done, path)
    values = json.loads(path.read_text("utf-8"))
    assert values == json.loads(json.dumps(done.to_dict()))
    assert values["date"]
    assert values["definitions"]["drift"]


def test_where_reports_go(done, tmp_path):
    for name, why in (("report.pdf", ".html"), ("report", "tell what"), ("no/report.csv", "no ")):
        with pytest.raises(DataError, match=why):
            check_report(tmp_path / name, of_model=True)
        with pytest.raises(DataError, match=why):
            write_report(done, tmp_path / name)
    write_report(done, tmp_path / "Report.HTML")
    assert [path.name for path in tmp_path.iterdir()] == ["Report.HTML"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "&ndash;"),
        (1.0, "1"),
        (0.0, "0"),
        (0.99999, "0.9999"),
        (0.5, "0.5000"),
        (1.00001, "1.0000"),
        (56, "56"),
        (1234.56, "1,234.6"),
        (-0.25, "-0.2500"),
    ],
)
def test_shown(value, text):
    assert shown(value) == text


# Plots -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (-0.3, 0.71, [-0.2, 0, 0.2, 0.4, 0.6]),
        (180, 520, [200, 300, 400, 500]),
        (0.1, 0.11, [0.1, 0.102, 0.104, 0.106, 0.108, 0.11]),
    ],
)
def test_ticks(low, high, expected):
    assert svg.ticks(low, high) == pytest.approx(expected)


def heights(plot, kind):
    """Heights of the bins of one line of a histogram, in pixels above the axis."""
    (path,) = [p for p in ET.fromstring(plot).iter("path") if p.get("class") == kind]
    levels = [float(y) for y in re.findall(r"V([\d.]+)", path.get("d"))]
    return [levels[-1] - level for level in levels[:-1]]


def test_histogram_shows_shares():
    values = np.repeat([0.0, 1.0, 2.0], [100, 300, 100])
    plot = svg.histogram({"a": values, "b": np.tile(values, 7)}, "logp", filled="b")
    mine, reference = heights(plot, "line c0"), heights(plot, "ref")
    assert len(mine) == svg.BINS
    filled = sorted(h for h in mine if h > 0)
    assert filled == pytest.approx([filled[0], filled[0], 3 * filled[0]], rel=0.01)
    assert mine == pytest.approx(reference)  # numbers of molecules do not matter


def test_one_outlier_does_not_squeeze_the_rest():
    values = np.append(np.linspace(0, 1, 999), 1e6)
    plot = svg.histogram({"a": values}, "mw")
    drawn = heights(plot, "line c0")
    assert sum(height > 0 for height in drawn) == svg.BINS
    # What lies outside is not piled up at the border, where it would look like a peak.
    assert max(drawn) < 1.5 * min(drawn)


@pytest.mark.parametrize("values", [[], [3.0, 3.0], [0.0]])
def test_histogram_of_little(values):
    assert ET.fromstring(svg.histogram({"a": values}, "qed & sa")).tag == "svg"


def test_cloud():
    points = [(0, 0), (10, 5), (99, 99)]
    plot = ET.fromstring(
        svg.cloud(points, [0.0, 1.0, np.nan], "a<b", window=((0, 10), (0, 5)), span=(0, 1))
    )
    low, high, outside = plot.iter("circle")
    assert low.get("fill") != high.get("fill")
    assert (outside.get("class"), outside.get("fill")) == ("none", None)
    assert float(low.get("cx")) < float(high.get("cx"))
    assert float(low.get("cy")) > float(high.get("cy"))  # upwards is less from the top
    assert (outside.get("cx"), outside.get("cy")) == (high.get("cx"), high.get("cy"))
    with pytest.raises(ValueError, match="expected"):
        svg.cloud(points, [1.0], "a", window=((0, 1), (0, 1)), span=(0, 1))


def test_colours_are_told_apart_in_grey():
    """Equal steps of the property are equal steps of lightness (CIE L*)."""
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in
                    svg.colours(np.linspace(0, 1, 6), (0, 1))]) / 255  # fmt: skip
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ (0.2126, 0.7152, 0.0722)) - 16
    assert np.diff(lightness) == pytest.approx(7.7, abs=0.5)


def test_colours():
    first, middle, last, beyond, unknown = svg.colours([0, 0.5, 1, 7, np.nan], (0, 1))
    assert last == beyond
    assert len({first, middle, last, unknown}) == 4
    assert all(re.fullmatch(r"#[0-9a-f]{6}", c) for c in (first, middle, last, unknown))
    assert svg.colours([2.0], (2.0, 2.0)) == [first]
    assert ET.fromstring(svg.scale("logp", (0.0, 1.0))).tag == "svg"
    assert ET.fromstring(svg.scale("logp", (2.0, 2.0))).tag == "svg"
