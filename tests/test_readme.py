"""What README, docs/images.md and docs/optimization.md say works: commands run as they stand.

Long trainings become short ones of tiny models, and where there would be much to draw or to score,
little is. Of the set-up commands only the targets are looked up; nothing is fetched.
"""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README, IMAGES, CAMPAIGNS = (
    (ROOT / page).read_text(encoding="utf-8")
    for page in ("README.md", "docs/images.md", "docs/optimization.md")
)
SMALL = "--steps 4 --batch-size 32 --workers 1"
SIZES = "--latent-dim 8 --encoder-hidden 32 --decoder-hidden 32 --embedding 16 --components 2"


#: What takes long, by command: the option that says how much, and little of it.
LITTLE = {"evaluate": ("-n", "50"), "optimize": ("--calls", "15")}


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def typed_in(page):
    return [line for block in blocks("sh", page) for line in block.splitlines() if line.strip()]


LINES = typed_in(README)
MOLAE = [line for line in LINES if line.startswith("molae ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the reader of README sits: a raw file, and what a laboratory measured."""
    place = tmp_path_factory.mktemp("readme")
    text = gzip.decompress(files("molae.data").joinpath("demo.smi.gz").read_bytes()).decode()
    rows = [f"{number},{smiles}" for number, smiles in enumerate(text.splitlines()[:48])]
    (place / "raw.csv").write_text("\n".join(["id,smiles", *rows]) + "\n")
    (place / "results.csv").write_text("smiles,score\nCCO,1.5\nCCN,2\n")
    return place


@pytest.fixture(scope="module", autouse=True)
def reader(folder):
    """In that folder, with a cache folder of its own."""
    before = os.getcwd(), os.environ.get("MOLAE_CACHE")
    os.chdir(folder)
    os.environ["MOLAE_CACHE"] = str(folder / "cache")
    yield
    os.chdir(before[0])
    if before[1] is None:
        del os.environ["MOLAE_CACHE"]
    else:
        os.environ["MOLAE_CACHE"] = before[1]


def typed(line):
    """The words of a command; what is long becomes short, a model that is trained small."""
    words = shlex.split(line)[1:]
    if words[0] in LITTLE and ("-m" in words or words[0] == "optimize"):
        words += LITTLE[words[0]]  # the last one counts
    if words[0] in ("optimize", "suggest") and not {"-m", "--resume"} & {*words}:
        words += ("-m", "tiny")
    if words[0] == "train":
        for option in ("--time", "--epochs"):
            if option in words:
                at = words.index(option)
                del words[at : at + 2]
        words += SMALL.split()
        if "--from" not in words:
            words += SIZES.split()
        if "digits" in words:
            at = words.index("--embedding")  # nets for images have none
            del words[at : at + 2]
    return words


def run(lines, folder):
    """Type commands, one after the other; each must succeed and leave what it names."""
    from typer.testing import CliRunner

    from molae.cli.main import app

    for line in lines:
        result = CliRunner().invoke(app, typed(line))
        assert result.exit_code == 0, f"{line}\n{result.output}"
        words = shlex.split(line)
        if "-o" in words:
            assert (folder / words[words.index("-o") + 1]).exists(), line


def test_commands_run_in_the_order_they_stand(folder):
    assert len(MOLAE) > 15
    run(MOLAE, folder)
    _python(folder)


def test_commands_on_images_run_in_the_order_they_stand(folder):
    (shipped,) = re.findall(r"^A small model .* ships with molae: `(molae .*)`\.$", IMAGES, re.M)
    lines = typed_in(IMAGES)
    assert len(lines) > 10
    run([shipped, *lines], folder)


def test_commands_of_campaigns_run_in_the_order_they_stand(folder):
    lines = typed_in(CAMPAIGNS)
    assert len(lines) == 4
    shutil.rmtree(folder / "out", ignore_errors=True)  # the README has a campaign there
    run(lines, folder)
    _python(folder, CAMPAIGNS)


def _python(folder, page=README):
    """The block of Python, after the commands: it uses what they made."""
    (code,) = blocks("python", page)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, text=True, capture_output=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) >= 3


def test_set_up_commands_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    made = [line.split()[1] for line in LINES if line.startswith("make ")]
    assert made == ["demo", "test"]
    assert set(made) <= set(targets)
    known = re.compile(r"(make|molae|pip) ")
    assert all(known.match(line) for line in LINES)


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (line,) = [line for line in LINES if line.startswith("pip ")]
    extras = re.search(r"\[(.*)\]", line)[1].split(",")
    assert set(extras) <= project["optional-dependencies"].keys()


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert "docs/demo.png" in links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_commands_in_the_text_parse():
    import typer

    from molae.cli.main import app

    group = typer.main.get_command(app)
    inline = re.findall(r"`(molae [a-z]+ [^`]*)`", README.replace("\n", " "))
    for line in inline:
        words = shlex.split(line)[1:]
        assert words[0] in group.commands, line
