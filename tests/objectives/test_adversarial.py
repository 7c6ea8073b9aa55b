"""The adversarial autoencoder, and what all players keep to."""

from __future__ import annotations

import math

import pytest
import torch

from molae.densities import Clusters, RingMixture, StandardNormal
from molae.models import Autoencoder
from molae.nn.critics import Critic
from molae.nn.heads import DeltaHead
from molae.nn.image import ImageDecoder, ImageEncoder
from molae.nn.implicit_heads import ImplicitHead
from molae.objectives import objective
from molae.objectives.games import label_cost, told_apart
from molae.training import fit
from molae.training.devices import Hardware
from molae.training.movers import make_movers
from molae.types import Batch


def accuracy(goal, model, x):
    """How often the critic of codes is right."""
    with torch.no_grad():
        drawn = model.prior.sample(len(x))
        return told_apart(goal.critic(drawn), goal.critic(model.encode(x))).logged["accuracy"]


@pytest.mark.parametrize("name", ["aae", "avb", "ali", "iae"])
def test_each_player_moves_its_own_weights_only(name, toys):
    model = toys.autoencoder(2, 3, ImplicitHead)
    goal = objective(name)
    goal.prepare(model)
    goal.prepare(model)  # a second time it changes nothing
    everything = [*model.parameters(), *goal.parameters()]
    movers = make_movers(goal, model, 1e-2, 0.0, 1.0)
    owned = [id(p) for mover in movers for p in mover.parameters]
    assert sorted(owned) == sorted({id(p) for p in everything})
    assert [mover.name for mover in movers][:2] == ["autoencoder", "critic"]
    batch, hardware = Batch(toys.ring(16)[0]), Hardware("cpu", "fp32")
    for mover in movers:
        before = [p.detach().clone() for p in everything]
        mover.move(model, batch, 0, 1.0, torch.tensor(1.0), hardware)
        mine = {id(p) for p in mover.parameters}
        for p, old in zip(everything, before, strict=True):
            assert torch.equal(p, old) != (id(p) in mine)


@pytest.mark.parametrize("name", ["aae", "avb", "ali", "iae"])
def test_all_play_on_images(name):
    torch.manual_seed(0)
    reads = ImageEncoder((1, 8, 8), hidden=8)
    head = ImplicitHead(reads.width, 4, local=1)
    writes = ImageDecoder((1, 8, 8), 4, hidden=8)
    model, goal = Autoencoder(reads, head, writes, StandardNormal(4)), objective(name)
    goal.prepare(model)
    batch, hardware = Batch(torch.rand(6, 1, 8, 8)), Hardware("cpu", "fp32")
    for mover in make_movers(goal, model, 1e-2, 0.0, 1.0):
        move = mover.move(model, batch, 0, 1.0, torch.tensor(1.0), hardware)
        assert move.finite
    assert model.decode(model.encode(batch.x)).shape == batch.x.shape


@pytest.mark.parametrize("name", ["aae", "iae"])
def test_resumed_is_uninterrupted(toys, tmp_path, name):
    """Critics and their optimisers are in the checkpoint."""
    data, how = toys.Vectors(toys.ring(64)[0]), {"batch_size": 16, "schedule": "constant"}
    how |= {"warmup_steps": 0, "device": "cpu", "precision": "fp32", "progress": False}
    ends = []
    for stops in ((6,), (3, 6)):
        model, goal = toys.autoencoder(2, 3, ImplicitHead), objective(name)
        for number, steps in enumerate(stops):
            if number:  # all is made anew, as after a kill
                model, goal = toys.autoencoder(2, 3, ImplicitHead), objective(name)
            folder = tmp_path / str(len(stops))
            fit(model, goal, data, steps=steps, folder=folder, resume=number > 0, **how)
        ends.append({**model.state_dict(), **goal.state_dict()})
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


@pytest.mark.parametrize("name", ["aae", "avb", "ali", "iae"])
def test_without_prepare_a_sentence(name, toys):
    model = toys.autoencoder(2, 3, ImplicitHead)
    with pytest.raises(ValueError, match="prepare"):
        objective(name).players(model)
    with pytest.raises(ValueError, match="prepare"):
        objective(name).terms(model, Batch(toys.ring(4)[0]), 0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("aae", {"weight": -1.0}), ("aae", {"pace": 0.0}), ("avb", {"contrast": 1}),
     ("ali", {"hidden": [0]}), ("iae", {"smoothness": -0.1})],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(name, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        objective(name, **settings)


def test_the_costs_are_binary_cross_entropies():
    true, false = torch.tensor([0.0, 2.0]), torch.tensor([0.0, 3.0])
    found = told_apart(true, false)
    torch.testing.assert_close(found.parts["true"], -true.sigmoid().log())
    torch.testing.assert_close(found.parts["false"], -(1 - false.sigmoid()).log())
    assert found.logged["accuracy"].tolist() == [0.0, 0.5]
    x = torch.tensor([[1.0, 2.0], [0.5, -1.0]], requires_grad=True)
    smooth = told_apart(x.square().sum(1), false, 3.0, x).parts["smoothness"]
    torch.testing.assert_close(smooth, 1.5 * (4 * x.square()).sum(1))


def learnt_apart(model, toys):
    """How often a fresh critic is right on codes that it has not seen, after it learnt on others.

    The objective's own may be at chance because it has learnt nothing.
    """
    critic = Critic(2, hidden=(64, 64))
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    with torch.no_grad():
        z = model.encode(toys.sheet(4096, seed=1))
    for _ in range(300):
        true, false = critic(torch.randn(256, 2)), critic(z[torch.randint(len(z), (256,))])
        optimizer.zero_grad()
        told_apart(true, false).loss().backward()
        optimizer.step()
    with torch.no_grad():
        z = model.encode(toys.sheet(4096, seed=2))
        return told_apart(critic(torch.randn(4096, 2)), critic(z)).logged["accuracy"].mean()


def test_the_critic_is_at_chance_in_the_end(toys):
    """Codes fill the prior, and the reconstruction is as good as without."""
    x = toys.sheet(1024)
    model = toys.autoencoder(4, 2, DeltaHead)
    goal = objective("aae", hidden=[64, 64], smoothness=0.1)
    goal.prepare(model)
    toys.train(model, objective("ae"), toys.Vectors(x), 200, rate=3e-3)
    assert learnt_apart(model, toys) > 0.7
    toys.train(model, goal, toys.Vectors(x), 400, rate=3e-3, schedule="cosine")
    assert learnt_apart(model, toys) < 0.6
    assert accuracy(goal, model, x).mean() < 0.62
    with torch.no_grad():
        z = model.encode(x)
    assert z.mean(0).abs().max() < 0.2
    assert (z.std(0) - 1).abs().max() < 0.2
    error = (model.likelihood(z).mean - x).square().mean().sqrt()
    assert error < 0.15


def test_a_prior_of_another_shape_draws_the_codes_there(toys):
    x = toys.sheet(1024)
    model = toys.autoencoder(4, 2, DeltaHead, RingMixture(2, radius=4.0))
    goal = objective("aae", hidden=[64, 64], pace=2.0)
    toys.train(model, goal, toys.Vectors(x), 250, rate=3e-3)
    with torch.no_grad():
        radius = model.encode(x).norm(dim=1)
    assert (radius < 2.0).float().mean() < 0.2  # a standard normal has 0.86 of its codes there
    assert radius.mean().item() == pytest.approx(4.0, abs=0.6)


def clustered(toys):
    def head(hidden, latent):
        return ImplicitHead(hidden, latent, noise=0, clusters=4)

    return toys.autoencoder(2, 6, head, Clusters(6, 4), sigma=0.5)


def test_a_few_labels_name_the_clusters(toys):
    x, place = toys.ring(512, count=4, width=0.1)
    some = torch.where(torch.arange(512) < 16, place, -1)
    model = clustered(toys)
    goal = objective("aae", weight=1.0, label_weight=100.0, hidden=[32])
    toys.train(model, goal, toys.Vectors(x, some), 300, rate=3e-3)
    with torch.no_grad():
        choice = model.encode(x)[:, :4]
    assert (choice.argmax(1) == place).float().mean() > 0.95
    assert choice.max(1).values.mean() > 0.8


def test_the_cost_of_labels(toys):
    choice = torch.tensor([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    cost = label_cost(choice, torch.tensor([1, -1, 0]))
    torch.testing.assert_close(cost, torch.tensor([-math.log(0.8), 0.0, 0.0]))
    with pytest.raises(ValueError, match="whole numbers"):
        label_cost(choice, torch.zeros(3))
    with pytest.raises(ValueError, match="got none"):
        label_cost(choice, None)
    with pytest.raises(ValueError, match="head implicit"):
        objective("aae", label_weight=1.0).prepare(toys.autoencoder(2, 3, DeltaHead))
