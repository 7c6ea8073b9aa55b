"""Every objective with every head that it goes with, on sequences and images, as it is built."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from molae.codecs import restricted_codec
from molae.codecs.images import ImageCodec
from molae.names import DECODERS, FIXED_DENSITIES, HEADS, OBJECTIVES
from molae.objectives import objective_class
from molae.runs import build
from molae.runs.compose import check_condition, combinations, refusal
from molae.runs.condition import Condition
from molae.types import Batch
from molae.workflows.asked import Asked
from molae.workflows.settings import settings
from molae.workflows.usual import USUAL

B, D = 6, 4
SMILES = ["CCO", "C1=CC=NC=C1", "CC(C)N", "OCC", "CCN", "NCCO"]
#: As small as they get.
SMALL = {
    "sequences": {"encoder_hidden": 8, "decoder_hidden": 8, "embedding": 4},
    "images": {"encoder_hidden": 8, "width": 0.05},
}


def asked(**options):
    nothing = {field.name: None for field in fields(Asked)} | {"properties": (), "options": {}}
    return Asked(**(nothing | options))


def codec_and_data(medium):
    if medium == "images":
        x = torch.rand(B, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        return ImageCodec(8, 8, 1), (x * 255).round() / 255
    codec = restricted_codec(SMILES, max_steps=30)
    return codec, codec.parse(SMILES).padded()


def made(medium, **options):
    codec, x = codec_and_data(medium)
    table = settings(asked(**({"latent_dim": D} | SMALL[medium] | options)), medium=medium)
    table.pop("grammar")
    torch.manual_seed(0)
    return build(table, codec), Batch(x, index=torch.arange(B))


ALL = [
    (one.objective, head, medium)
    for one in combinations()
    for head in one.heads
    for medium in one.media
]


@pytest.mark.parametrize(("goal", "head", "medium"), ALL)
def test_what_goes_together_learns(goal, head, medium):
    run, batch = made(medium, objective=goal, head=head)
    run.model.train()
    run.objective.train()
    players = run.objective.players(run.model)
    moved = [id(parameter) for player in players for parameter in player.parameters]
    assert len(moved) == len(set(moved)), "two players move the same parameter"
    for player in players:
        terms = player.terms(run.model, batch, 0)
        assert all(part.shape in ((), (B,)) for part in terms.parts.values()), player.name
        loss = terms.loss()
        slopes = torch.autograd.grad(loss, player.parameters, allow_unused=True)
        assert torch.isfinite(loss), player.name
        found = [slope for slope in slopes if slope is not None]
        assert found, player.name
        assert all(torch.isfinite(slope).all() for slope in found), player.name
    run.model.eval()
    z = run.model.encode(batch.x)
    assert z.shape == (B, run.size)
    assert len(run.decode(z)) == B


@pytest.mark.parametrize(
    ("goal", "head"), [(g.objective, h) for g in combinations() for h in HEADS]
)
def test_what_does_not_is_refused_with_a_sentence(goal, head):
    reason = refusal(goal, head=head)
    if head in next(one.heads for one in combinations() if one.objective == goal):
        assert reason is None
    else:
        assert repr(goal) in reason
        assert repr(head) in reason
        assert "use" in reason


#: Decoders of any size; those of fixed sizes are in ``nn/test_image.py``.
ANY = [name for name in DECODERS if name not in ("image_mnist", "image_celeba")]
WRITTEN = [(one.objective, name) for one in combinations() for name in one.decoders(ANY)]


def medium_of(decoder):
    return next(name for name, usual in USUAL.items() if decoder in usual.decoders)


@pytest.mark.parametrize(("goal", "decoder"), WRITTEN)
def test_decoders(goal, decoder):
    medium = medium_of(decoder)
    if medium not in objective_class(goal).media:
        assert "is for images" in refusal(goal, decoder=decoder, medium=medium)
        return
    small = {"encoder_hidden": None, "latent_dim": 128} if decoder == "convdraw" else {}
    run, batch = made(medium, objective=goal, decoder=decoder, **small)
    loss = run.objective.terms(run.model, batch, 0).loss()
    assert torch.isfinite(loss)
    assert len(run.sample(3, seed=1, density="prior")) == 3


@pytest.mark.parametrize("decoder", ANY)
@pytest.mark.parametrize("goal", OBJECTIVES)
def test_decoders_that_do_not_go_are_refused(goal, decoder):
    if (goal, decoder) not in WRITTEN:
        with pytest.raises(ValueError, match=f"{decoder}.*: use"):
            made("images", objective=goal, decoder=decoder, encoder_hidden=None)


PRIORS = [(one.objective, name) for one in combinations() for name in one.priors]


@pytest.mark.parametrize(("goal", "prior"), PRIORS)
def test_priors_are_learnt_if_there_is_anything_to_learn(goal, prior):
    if prior == "conditional":
        with pytest.raises(ValueError, match="give one"):
            made("images", objective=goal, prior=prior)
        return
    if prior == "vamp" and "normal" not in combined(goal).heads[:1]:
        pytest.skip("of normal posteriors only")
    size = {"mixture": 2, "swiss_roll": 2, "clusters": 12}.get(prior, D)
    run, batch = made("images", objective=goal, prior=prior, latent_dim=size)
    run.model.train()
    loss = sum(
        player.terms(run.model, batch, 0).loss() for player in run.objective.players(run.model)[:1]
    )
    mine = list(run.model.prior.parameters())
    slopes = torch.autograd.grad(loss, mine, allow_unused=True) if mine else []
    assert all(slope is not None and slope.isfinite().all() for slope in slopes)
    assert bool(mine) == (prior not in FIXED_DENSITIES)


def test_what_is_of_other_data_is_refused():
    with pytest.raises(ValueError, match=r"'vamp' is for images, .*: use the prior 'learned_m"):
        made("sequences", objective="vae", prior="vamp")
    with pytest.raises(ValueError, match=r"'re' is for images, .*: use 'nats' or 'exact'"):
        made("sequences", objective="geco", options={"constraint": "re"})
    with pytest.raises(ValueError, match=r"'exact' is for sequences, .*: use 're', .* or 'pncc'"):
        made("images", objective="geco", options={"constraint": "exact"})
    with pytest.raises(ValueError, match="told nothing beside an image"):
        check_condition({"prior": {"name": "vamp"}}, "vae", Condition("label", (10,)))
    assert refusal("vae", prior="vamp", medium="images") is None


def combined(goal):
    return next(one for one in combinations() if one.objective == goal)


@pytest.mark.parametrize("goal", ["rae", "aae", "wae", "ali"])
def test_priors_that_nothing_would_learn_are_refused(goal):
    with pytest.raises(ValueError, match="leave --prior out"):
        made("images", objective=goal, prior="flow")
