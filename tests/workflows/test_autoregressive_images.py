"""PixelCNN, ConvDRAW and the vector quantiser through the door that runs are built by."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from molae.codecs import ImageCodec
from molae.convdraw import ConvDRAW
from molae.densities import density
from molae.runs import Run, build
from molae.workflows.asked import Asked
from molae.workflows.generate import generate
from molae.workflows.settings import settings

CODEC = ImageCodec(channels=1, height=8, width=8)


def asked(**options):
    nothing = {one.name: None for one in fields(Asked)} | {"properties": (), "options": {}}
    return settings(Asked(**nothing | options), medium="images")


def table(**options):
    return asked(**options) | {"densities": {}}


def made(**options):
    torch.manual_seed(0)
    return build(table(**options), CODEC)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "vae", "decoder": "pixelcnn", "width": 0.25},
        {"objective": "geco", "encoder": "convdraw", "width": 0.25, "latent_dim": 128},
        {"objective": "vae", "decoder": "convdraw", "width": 0.25, "latent_dim": 128},
        {"objective": "vqvae"},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
def test_built_saved_and_drawn_from(options, tmp_path):
    run = made(**options)
    folder = run.save(tmp_path / "run")
    again = Run.load(folder, "cpu")
    x = torch.rand(2, 1, 8, 8)
    z = run.model.encode(x)
    assert torch.equal(again.model.encode(x), z)
    drawn = run.model.prior.sample_rows(0, torch.arange(2))
    assert torch.equal(again.model.prior.sample_rows(0, torch.arange(2)), drawn)
    image = run.model.decode(drawn, seed=3)
    assert torch.equal(again.model.decode(drawn, seed=3), image)
    assert image.shape == x.shape


def test_pixels_are_drawn_unless_the_likeliest_are_asked_for():
    """One after the other the likeliest pixels become a blank image."""
    run = made(objective="vae", decoder="pixelcnn", likelihood="bernoulli", width=0.25)
    z = torch.randn(4, run.size, generator=torch.Generator().manual_seed(0))
    texts = run.decode(z)
    assert texts == run.decode(z, seed=0) != run.decode(z, temperature=0.0)
    assert run.decode(z, seed=1) != texts
    (first,) = run.drawn(z, torch.arange(4), 0.0)
    assert first.unique().tolist() == [0.0, 1.0]
    rows = [[row["smiles"] for row in generate(run, 3, seed=s, workers=1)] for s in (0, 1, 1)]
    assert rows[0] != rows[1] == rows[2]


def test_weights_of_a_likelihood_with_no_sigma_are_those_of_the_bound():
    for decoder in ("pixelcnn", "image"):
        asked = {"objective": "vae", "decoder": decoder}
        if decoder == "image":
            asked["likelihood"] = "learned"
        assert table(**asked)["objective"]["beta"] == 1.0
    assert made(objective="vae", decoder="pixelcnn", likelihood="bernoulli")


def test_convdraw_is_in_one_piece():
    assert isinstance(made(objective="vae", encoder="convdraw", latent_dim=128).model, ConvDRAW)
    for options, words in (
        ({"objective": "vae", "encoder": "convdraw"}, "latent_dim 128"),
        ({"objective": "vae", "encoder": "image", "decoder": "convdraw"}, "one piece"),
        ({"objective": "rae", "decoder": "convdraw", "latent_dim": 128}, "use 'vae', 'iwae'"),
        ({"objective": "vae", "decoder": "convdraw", "head": "constant"}, "head 'normal'"),
    ):
        with pytest.raises(ValueError, match=words):
            made(**options)


def test_what_is_fitted_to_codes_afterwards():
    assert asked(objective="vqvae")["densities"]["indices"] == {}
    wide = asked(objective="vqvae", options={"head.group": 4})
    assert wide["densities"]["indices"] == {"group": 4}
    assert asked(objective="vae", decoder="convdraw")["densities"] == {}
    assert "indices" not in asked(objective="vae")["densities"]


def test_a_quantised_run_draws_from_the_indices():
    run = made(objective="vqvae", options={"head.entries": 8})
    z = run.model.head.codebook[torch.randint(8, (300, 8))].flatten(1)
    run.densities["gaussian"] = density("gaussian").fit(z)
    run.densities["indices"] = density("indices", epochs=1, hidden=8).fit(z)
    assert run.density() is run.densities["indices"]
