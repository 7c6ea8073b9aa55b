import subprocess
import sys

import pytest

from molae import names
from molae.pictures import CROPS

TABLES = {
    key: value for key, value in vars(names).items() if isinstance(value, dict) and key.isupper()
}


@pytest.mark.parametrize("table", TABLES)
def test_names_are_lower_case_and_have_one_line_of_help(table):
    assert TABLES[table]
    for name, text in TABLES[table].items():
        assert name == name.lower()
        assert name.removeprefix("images:").isidentifier()
        assert text.strip() == text
        assert "\n" not in text
        assert 0 < len(text) <= 90


def test_pick_returns_known_names():
    for table in TABLES.values():
        for name in table:
            assert names.pick(table, name, "thing") == name


@pytest.mark.parametrize(
    ("typed", "meant"), [("qedd", "'qed'"), ("LogP", "'logp'"), ("ring", "'rings'")]
)
def test_pick_suggests_the_closest_name(typed, meant):
    with pytest.raises(ValueError, match="unknown property") as error:
        names.pick(names.PROPERTIES, typed, "property")
    assert meant in str(error.value)
    assert repr(typed) in str(error.value)


def test_pick_lists_all_where_nothing_is_close():
    with pytest.raises(ValueError, match="choose from vae, cvvae, "):
        names.pick(names.OBJECTIVES, "zzzz", "objective")


def test_crops_are_those_of_pictures():
    assert set(names.CROPS) == set(CROPS)


def test_import_is_light():
    code = (
        "import molae.names, molae.chem, sys;"
        "print(*(name in sys.modules for name in ('rdkit', 'torch')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
