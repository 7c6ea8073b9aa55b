"""-log p(x) of runs: what it adds up to, what it says of images, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from molae.codecs import GrammarCodec, ImageCodec
from molae.densities import density
from molae.distributions import NoDensityError
from molae.grammar.restrict import restricted
from molae.runs import Run, build
from molae.workflows.evaluation import Evaluation
from molae.workflows.nll import MEANINGS, judge, nll


def sequences(head="normal", objective="vae", prior=None, steps=8):
    torch.manual_seed(0)
    model = {
        "latent_dim": 3,
        "encoder": {"name": "recurrent", "embedding": 8, "hidden": 12},
        "head": {"name": head},
        "decoder": {"name": "autoregressive", "embedding": 8, "hidden": 16},
    }
    if prior:
        model["prior"] = {"name": prior}
    config = {"model": model, "objective": {"name": objective}}
    return build(config, GrammarCodec(restricted({"C", "O", "="}), steps))


def images(likelihood="discretised", prior=None, **head):
    torch.manual_seed(0)
    net = {"name": "image", "hidden": 16, "multiplier": 0.25}
    model = {
        "latent_dim": 3,
        "encoder": dict(net),
        "head": {"name": "normal"} | head,
        "decoder": dict(net) | {"likelihood": likelihood},
    }
    if prior:
        model["prior"] = prior
    config = {"model": model, "objective": {"name": "iwae", "samples": 3}}
    return build(config, ImageCodec(8, 8, 1))


def pixels(n=5):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (n, 1, 8, 8), generator=generator) / 255


@pytest.mark.parametrize("head", ["normal", "nvp"])
def test_probabilities_of_all_sequences_add_up_to_one(head):
    """E_q w = p(x) whatever q is, and few sequences can be written with these tokens."""
    run = sequences(head, steps=6)
    index = torch.arange(4000)
    z = run.density("prior").sample_rows(0, index)
    x = torch.cat(list(run.drawn(z, index, 0.0, seed=1)))
    x = x.unique(dim=0)
    assert 10 < len(x) < 200
    found = nll(run, x, samples=400)
    assert torch.exp(-found.estimate.nll).sum().item() == pytest.approx(1.0, abs=0.03)


def test_numbers_of_images():
    run, x = images(), pixels()
    state, told = torch.get_rng_state(), []
    found = nll(run, x, 64, seed=1, show=told.append)
    assert torch.equal(torch.get_rng_state(), state)
    assert told == sorted(told)
    assert told[-1] == 1.0
    numbers = found.numbers()
    assert list(numbers) == list(MEANINGS)
    assert numbers["bits_per_value"] == pytest.approx(numbers["nll"] / (64 * math.log(2)))
    assert numbers["nll"] < numbers["minus_elbo"]
    assert 1 <= numbers["nll_effective_samples"] <= 64
    spread = found.estimate.nll.std(correction=0).item()
    assert numbers["nll_error"] == pytest.approx(spread / 5**0.5)
    assert "64 samples for each of 5 examples" in found.note()
    again = nll(run, x, 64, seed=1)
    assert torch.equal(again.estimate.nll, found.estimate.nll)
    assert not torch.equal(nll(run, x, 64, seed=2).estimate.nll, found.estimate.nll)
    assert "bits_per_value" not in nll(images("gaussian"), x, 4).numbers()


def test_every_example_is_in_its_own_place():
    """Sequences are looked at in an order of their own."""
    run = sequences()
    x = run.codec.encode(["CCOC", "C", "C=O", "CO"])
    whole = nll(run, x, 2000).estimate.nll
    for row in range(4):
        one = nll(run, x[row : row + 1], 2000, seed=row).estimate.nll
        assert one.item() == pytest.approx(whole[row].item(), abs=0.05)


def test_a_deterministic_run_has_none_of_its_own():
    run = sequences("delta", "rae")
    x = run.codec.encode(["CCO", "C=O"])
    with pytest.raises(NoDensityError, match="name that density"):
        nll(run, x, 10)
    run.densities = {"gmm": density("gmm", components=1).fit(torch.randn(50, 3))}
    found = nll(run, x, 4000, density="gmm")
    assert found.surrogate
    assert "deterministic" in found.note()
    assert "'gmm'" in found.note()
    # The same by plain draws of the density, which three dimensions allow.
    z = run.densities["gmm"].sample(20_000, torch.Generator().manual_seed(0)).unsqueeze(1)
    with torch.no_grad():
        log_p = run.model.likelihood(z.expand(-1, 2, -1)).log_prob(x).double()
    plain = math.log(20_000) - log_p.logsumexp(0)
    torch.testing.assert_close(found.estimate.nll, plain, atol=0.05, rtol=0)


def test_an_implicit_run_is_not_called_deterministic():
    run = sequences("implicit", "avb")
    run.densities = {"gmm": density("gmm", components=1).fit(torch.randn(50, 3))}
    x = run.codec.encode(["CCO", "C=O"])
    with pytest.raises(NoDensityError, match="posterior of this head has no density"):
        nll(run, x, 10)
    done = Evaluation({})
    judge(run, x, 10, 0, done)
    (note,) = done.notes
    assert "'prior'" in note
    assert "posterior of this head has no density" in note
    assert "deterministic" not in note


def test_masses_of_entries_are_refused():
    run = sequences("vq", "vqvae")
    x = run.codec.encode(["CCO", "C=O"])
    run.densities = {"indices": density("indices").fit(run.codes(x.repeat(20, 1)))}
    with pytest.raises(ValueError, match="no density of codes"):
        nll(run, x, 10, density="indices")


def test_a_density_beside_the_prior():
    run, x = images(), pixels(2)
    run.densities = {"gaussian": density("gaussian").fit(0.1 * torch.randn(50, 3))}
    assert nll(run, x, 8, density="gaussian").density == "gaussian"
    with pytest.raises(ValueError, match="gaussian"):
        nll(run, x, 8, density="gausian")
    with pytest.raises(ValueError, match="no data"):
        nll(run, x[:0], 8)


@pytest.mark.parametrize("prior", ["flow", "learned_mixture", "autoregressive", "vamp"])
def test_runs_with_a_prior_of_their_own_come_back(tmp_path, prior):
    run = images(prior={"name": prior})
    with torch.no_grad():
        for parameter in run.model.prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    before = nll(run, pixels(2), 8).estimate.nll
    again = Run.load(run.save(tmp_path / "run"), "cpu")
    assert torch.equal(nll(again, pixels(2), 8).estimate.nll, before)
    assert again.sample(3, seed=1) == run.sample(3, seed=1)
    assert all(p.requires_grad for p in again.model.prior.parameters())


def test_priors_that_do_not_go_with_the_rest():
    with pytest.raises(ValueError, match="use the prior 'learned_mixture'"):
        sequences(prior="vamp")
    with pytest.raises(ValueError, match="use the head 'normal'"):
        images(prior={"name": "vamp"}, name="nvp")
