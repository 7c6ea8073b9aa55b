import math
import re
import struct

import pytest

from molae.chem.drawing import grid, picture

SMILES = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "[Na+].[Cl-]"]


def png_size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[-8:-4] == b"IEND"
    return struct.unpack(">II", data[16:24])


def svg_size(path):
    text = path.read_text()
    assert text.rstrip().endswith("</svg>")
    return tuple(int(re.search(rf"{side}='(\d+)px'", text)[1]) for side in ("width", "height"))


@pytest.mark.parametrize(("suffix", "measure"), [(".png", png_size), (".svg", svg_size)])
@pytest.mark.parametrize(
    ("columns", "shape"), [(5, (5, 1)), (2, (2, 3)), (9, (5, 1)), (1, (1, 5))]
)
def test_size(tmp_path, suffix, measure, columns, shape):
    path = tmp_path / f"picture{suffix}"
    assert grid(SMILES, path, columns=columns, size=(120, 100)) == path
    assert measure(path) == (shape[0] * 120, shape[1] * 100)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_legends_are_drawn(tmp_path):
    with_legends, without = tmp_path / "a.svg", tmp_path / "b.svg"
    grid(SMILES, with_legends, legends=["XY"] * 5)
    grid(SMILES, without)
    count = with_legends.read_text().count("class='legend'")
    assert count >= 5
    assert without.read_text().count("class='legend'") == 0


def test_what_is_no_molecule_leaves_its_place(tmp_path):
    path = tmp_path / "a.png"
    grid(["CCO", None, "C1CC", "C"], path, legends=list("abcd"), columns=4, size=(100, 100))
    assert png_size(path) == (400, 100)


def test_picture_of_one(tmp_path):
    path = tmp_path / "a.svg"
    for text in ("CCO", None, "C1CC"):
        path.write_text(picture(text, (100, 90)))
        assert svg_size(path) == (100, 90)
    assert picture(None) == picture("C1CC") != picture("CCO")


def test_small_molecules_are_not_blown_up():
    """The bond of ethane is as long as one of hexane, and does not fill the picture."""
    lengths = []
    for text in ("CC", "CCCCCC"):
        bond = re.search(r"class='bond-0[^']*' d='M ([\d.,]+) L ([\d.,]+)'", picture(text))
        ends = [[float(place) for place in end.split(",")] for end in bond.groups()]
        lengths.append(math.dist(*ends))
    assert lengths[0] == pytest.approx(lengths[1], rel=0.02)
    assert lengths[0] < 0.25 * 220


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["C"], "a.gif"), r"\.png or \.svg"),
        (([], "a.png"), "no molecules"),
        ((["C"], "a.png", ["x", "y"]), "2 legends for 1"),
        ((["C"], "a.png", None, 0), "columns is 0"),
        ((["C"] * 200, "a.png", None, 1), "too large"),
    ],
)
def test_errors(tmp_path, arguments, message):
    smiles, name, *rest = arguments
    with pytest.raises(ValueError, match=message):
        grid(smiles, tmp_path / name, *rest)
    assert list(tmp_path.iterdir()) == []


def test_unwritable(tmp_path):
    with pytest.raises(OSError, match="missing"):
        grid(["C"], tmp_path / "missing" / "a.png")
    blocked = tmp_path / "a.png"
    blocked.mkdir()
    with pytest.raises(OSError):  # noqa: PT011 (the words are the system's)
        grid(["C"], blocked)
    assert list(tmp_path.iterdir()) == [blocked]
