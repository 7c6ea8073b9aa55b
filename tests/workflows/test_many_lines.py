"""One bad line among very many costs that line only, and is named."""

from __future__ import annotations

import numpy as np
import torch

from molae.workflows.data import load_data

LINES, BAD = 200_000, 123_457


def test_one_bad_line_in_very_many(tmp_path):
    grammar, source = tmp_path / "words.cfg", tmp_path / "words.txt"
    grammar.write_text("S -> 'a' S | 'b'\n")
    lines = ["a" * (i % 7) + "b" for i in range(LINES)]
    lines[BAD - 1] = "aacab"
    source.write_text("".join(f"{line}\n" for line in lines))
    found = load_data([source], grammar=grammar, cache=tmp_path / "cache")
    assert len(found.data) == LINES - 1
    assert found.rejected == 1
    (bad,) = found.encoded[0].rejects()
    assert (bad.line, bad.text, bad.token) == (BAD, "aacab", "c")
    assert found.encoded[0].lines[BAD - 2 : BAD].tolist() == [BAD - 1, BAD + 1]
    rows = np.array([0, BAD - 2, BAD - 1, LINES - 2])  # around the gap, and the ends
    texts = found.codec.decode(torch.from_numpy(found.data.array(rows)))
    assert texts == [lines[0], lines[BAD - 2], lines[BAD], lines[LINES - 1]]
    found.write_rejects(tmp_path / "rejects.csv")
    assert len((tmp_path / "rejects.csv").read_text().splitlines()) == 2
