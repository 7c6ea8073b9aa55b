from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from molae.distributions import DeltaPosterior
from molae.objectives import AE, RAE
from molae.objectives.regularizers import gradient_penalty, normalize_spectra, squared_weights
from molae.types import Batch


def test_terms_by_hand(point_model, batch):
    x = batch.x[:1]
    z = point_model.encoder(x)
    y = point_model.decoder(z)
    terms = RAE(beta=0.3, regularizer="l2", weight=0.01).terms(point_model, Batch(x), 0)
    constant = 6 * (math.log(0.5) + 0.5 * math.log(2 * math.pi))
    distortion = (x - y).square().sum() / (2 * 0.5**2) + constant
    assert terms.parts["distortion"].item() == pytest.approx(distortion.item())
    assert terms.parts["code"].item() == pytest.approx(0.3 * 0.5 * (z**2).sum().item())
    weights = point_model.decoder.weight.square().sum().item()
    assert terms.parts["regularizer"].item() == pytest.approx(0.01 * weights)
    assert terms.parts["regularizer"].shape == ()
    total = distortion + 0.15 * (z**2).sum() + 0.01 * weights
    assert terms.loss().item() == pytest.approx(total.item())
    assert terms.logged["code_norm"].item() == pytest.approx(z.norm().item())


def test_plain_autoencoder_is_the_distortion(point_model, batch):
    terms = AE().terms(point_model, batch, 0)
    rae = RAE(beta=0.0).terms(point_model, batch, 0)
    assert torch.equal(terms.loss(), rae.loss())
    with_l2 = AE(weight=0.1).terms(point_model, batch, 0)
    assert torch.allclose(
        with_l2.loss() - terms.loss(), 0.1 * squared_weights(point_model.decoder)
    )


def test_noise_is_for_the_decoder_in_training_only(point_model, batch):
    objective = RAE(noise=0.5)
    clean = RAE().terms(point_model, batch, 0)
    noisy = objective.terms(point_model, batch, 0)
    assert torch.equal(noisy.parts["code"], clean.parts["code"])
    assert not torch.allclose(noisy.parts["distortion"], clean.parts["distortion"])
    objective.eval()
    still = objective.terms(point_model, batch, 0)
    assert torch.equal(still.parts["distortion"], clean.parts["distortion"])


def test_each_example_has_its_own_noise_and_the_decoder_is_told(point_model):
    seen = {}
    plain = point_model.likelihood

    def likelihood(z, context=None):
        seen.update(z=z, context=context)
        return plain(z)

    point_model.likelihood = likelihood
    objective = RAE(noise=(0.1, 2.0))
    x = torch.randn(1, 6, dtype=torch.float64).expand(20_000, 6)
    objective.terms(point_model, Batch(x, context=torch.ones(20_000, 1)), 0)
    assert seen["context"].shape == (20_000, 2)
    assert (seen["context"][:, 0] == 1).all()
    sigma = seen["context"][:, 1]
    assert 0.1 <= sigma.min() < 0.101
    assert 1.98 < sigma.max() <= 2.0
    # Uniform on a logarithmic scale: half of it lies below the geometric mean.
    assert (sigma < math.sqrt(0.2)).double().mean().item() == pytest.approx(0.5, abs=0.02)
    noise = (seen["z"] - point_model.encoder(x)) / sigma[:, None]
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)
    objective.eval()
    objective.terms(point_model, Batch(x), 0)
    assert seen["context"] is None
    assert torch.equal(seen["z"], point_model.encoder(x))
    assert objective.settings()["noise"] == [0.1, 2.0]
    with pytest.raises(ValueError, match="noise is"):
        RAE(noise=(2.0, 0.1))


def test_low_noise_may_be_drawn_more_often(point_model):
    seen = {}
    plain = point_model.likelihood
    point_model.likelihood = lambda z, context=None: seen.update(sigma=context) or plain(z)
    objective = RAE(noise=(0.1, 2.0, 2.0))
    x = torch.randn(1, 6, dtype=torch.float64).expand(20_000, 6)
    objective.terms(point_model, Batch(x), 0)
    # u squared is below a half where u is below its root.
    low = (seen["sigma"] < math.sqrt(0.2)).double().mean().item()
    assert low == pytest.approx(math.sqrt(0.5), abs=0.02)
    assert objective.settings()["noise"] == [0.1, 2.0, 2.0]
    for bad in ((0.1, 2.0, 0.0), (0.1, 2.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="noise is"):
            RAE(noise=bad)


class Mixed(nn.Module):
    """A layer of each kind, with a weight that two layers share."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.dense = nn.Linear(4, 6)
        self.gru = nn.GRU(6, 4)
        self.norm = nn.LayerNorm(4)
        self.conv = nn.Conv1d(4, 3, 3)
        self.up = nn.ConvTranspose1d(3, 4, 2)
        self.batch_norm = nn.BatchNorm1d(4)
        self.image_bias = nn.ParameterDict({"bias": nn.Parameter(torch.ones(1, 4, 1))})
        self.tied = nn.Linear(4, 5, bias=False)
        self.tied.weight = self.embedding.weight


@pytest.mark.parametrize("of_images", [False, True])
def test_l2_leaves_out_biases_and_normalisations(of_images):
    decoder = Mixed()
    counted = [decoder.up.weight]  # where an image grows, that is all
    if not of_images:
        decoder.up = nn.Identity()
        counted = [
            decoder.embedding.weight,
            decoder.dense.weight,
            decoder.gru.weight_ih_l0,
            decoder.gru.weight_hh_l0,
            decoder.conv.weight,
        ]
    expected = sum(weight.square().sum() for weight in counted)
    assert torch.allclose(squared_weights(decoder), expected)
    squared_weights(decoder).backward()
    for name, parameter in decoder.named_parameters():
        is_weight = any(parameter is weight for weight in counted)
        assert (parameter.grad is not None) == is_weight, name


def largest(layer):
    """Largest singular value of a kernel as a matrix, outputs by everything else.

    Of a transposed convolution inputs by everything else, which are the outputs of what it is the
    transpose of.
    """
    return torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()


def test_spectral_norm_is_one_after_enough_iterations():
    torch.manual_seed(0)
    decoder = Mixed()
    names = normalize_spectra(decoder)
    assert names == ["dense", "conv", "up"]
    layers = [decoder.get_submodule(name) for name in names]
    for _ in range(300):
        _ = [layer.weight for layer in layers]
    decoder.eval()
    for layer in layers:
        assert largest(layer) == pytest.approx(1.0, abs=1e-3)
    assert decoder.tied.weight is decoder.embedding.weight
    assert not hasattr(decoder.gru, "parametrizations")


def test_preparing_twice_changes_nothing(point_model, batch):
    objective = RAE(regularizer="sn")
    objective.prepare(point_model)
    before = copy.deepcopy(point_model.state_dict())
    objective.prepare(point_model)
    after = point_model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert "decoder.parametrizations.weight.original" in after


def test_a_prepared_model_loads_prepared_weights(point_model, bent_model, batch):
    objective = RAE(regularizer="sn")
    for model in (point_model, bent_model):
        objective.prepare(model)
    bent_model.bend = nn.Identity()
    with torch.no_grad():
        point_model.decoder.parametrizations.weight.original.mul_(3.0).add_(0.1)
    _ = point_model.decoder.weight
    bent_model.load_state_dict(point_model.state_dict())
    point_model.eval()
    bent_model.eval()
    one = objective.terms(point_model, batch, 0).loss()
    assert torch.equal(one, objective.terms(bent_model, batch, 0).loss())


def test_other_regularisers_prepare_nothing(point_model):
    for regularizer in ("none", "l2", "gp"):
        RAE(regularizer=regularizer).prepare(point_model)
        assert "decoder.weight" in point_model.state_dict()


def test_the_encoder_s_spectra_too(point_model):
    point_model.head = nn.Sequential(nn.Linear(3, 3))
    RAE(regularizer="sn").prepare(point_model)
    assert "encoder.weight" in point_model.state_dict()
    objective = RAE(regularizer="sn", spectra="both")
    assert objective.settings()["spectra"] == "both"
    objective.prepare(point_model)
    for name in ("encoder", "head.0", "decoder"):
        assert f"{name}.parametrizations.weight.original" in point_model.state_dict()
    with pytest.raises(ValueError, match="did you mean 'both'"):
        RAE(regularizer="sn", spectra="bth")


def test_nothing_to_normalise_is_an_error():
    with pytest.raises(ValueError, match="use the regulariser"):
        normalize_spectra(nn.GRU(3, 4))


def explicit(model, z, form):
    """The penalty from full Jacobians of one example after the other, (B,)."""
    values = []
    for row in z:
        if form == "squared":

            def total(code):
                return model.bend(model.decoder(code)).square().sum()

            slope = torch.autograd.functional.jacobian(total, row, create_graph=True)
            values.append(slope.square().mean())
        else:

            def output(code):
                return model.bend(model.decoder(code))

            slope = torch.autograd.functional.jacobian(output, row, create_graph=True)
            values.append(slope.square().sum())
    return torch.stack(values)


def test_squared_gradient_is_the_explicit_one(bent_model, batch):
    weight = bent_model.decoder.weight
    z = bent_model.posterior(batch.x).center
    mine = gradient_penalty(bent_model, batch, z, "squared")
    expected = explicit(bent_model, z, "squared")
    assert torch.allclose(mine, expected)
    for parameter in (weight, bent_model.decoder.bias, bent_model.encoder.weight):
        (got,) = torch.autograd.grad(mine.sum(), parameter, retain_graph=True)
        (want,) = torch.autograd.grad(expected.sum(), parameter, retain_graph=True)
        assert torch.allclose(got, want)


def test_jacobian_is_exact_for_one_output(batch, bent_model):
    bent_model.decoder = nn.Linear(3, 1).double()
    z = bent_model.posterior(batch.x).center
    mine = gradient_penalty(bent_model, batch, z, "jacobian")
    expected = explicit(bent_model, z, "jacobian")
    assert torch.allclose(mine, expected)
    (got,) = torch.autograd.grad(mine.sum(), bent_model.decoder.weight, retain_graph=True)
    (want,) = torch.autograd.grad(expected.sum(), bent_model.decoder.weight)
    assert torch.allclose(got, want)


def test_jacobian_is_estimated_without_bias(batch, bent_model):
    torch.manual_seed(0)
    times = 5000
    z = bent_model.posterior(batch.x).center.detach()
    many = Batch(batch.x.repeat_interleave(times, 0))
    draws = gradient_penalty(bent_model, many, z.repeat_interleave(times, 0), "jacobian")
    draws = draws.detach().view(-1, times)
    error = draws.std(1) / math.sqrt(times)
    assert ((draws.mean(1) - explicit(bent_model, z, "jacobian")).abs() < 4.5 * error).all()


def test_gradient_part_is_weighted_and_per_example(bent_model, batch):
    terms = RAE(regularizer="gp", weight=0.2).terms(bent_model, batch, 0)
    z = bent_model.posterior(batch.x).center
    assert torch.allclose(terms.parts["regularizer"], 0.2 * explicit(bent_model, z, "squared"))


class Network(nn.Module):
    """A decoder of sequences from what a library offers, with fused kernels where it has them."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.prior = nn.Identity()
        self.inside = {
            "gru": lambda: nn.GRU(3, 8, batch_first=True),
            "lstm": lambda: nn.LSTM(3, 8, batch_first=True),
            "attention": lambda: nn.TransformerEncoderLayer(3, 1, 8, 0.0, batch_first=True),
            "conv": lambda: nn.Conv1d(3, 8, 3, padding=1),
        }[kind]()
        self.encoder = nn.Linear(3, 3)
        self.decoder = nn.ModuleList([self.inside])

    def posterior(self, x, context=None):
        return DeltaPosterior(self.encoder(x))

    def likelihood(self, z, context=None):
        return Outputs(self, z)


class Outputs:
    def __init__(self, model, z):
        self.model, self.z = model, z

    def log_prob(self, x):
        return -(self.outputs(x).mean((1, 2)) - x.mean(-1)).square()

    def outputs(self, x):
        ramp = torch.linspace(0.5, 1.5, 5, dtype=self.z.dtype)
        fed = self.z.unsqueeze(1) * ramp.unsqueeze(-1)  # (B, 5, 3)
        if self.model.kind == "conv":
            return self.model.inside(fed.transpose(1, 2)).softmax(1)
        out = self.model.inside(fed)
        return (out[0] if isinstance(out, tuple) else out).softmax(-1)


@pytest.mark.parametrize("kind", ["gru", "lstm", "attention", "conv"])
@pytest.mark.parametrize("low", [False, True])
def test_second_derivatives_are_right_on_fused_kernels(kind, low):
    """Against central differences in float64, also where autocast is on around it."""
    model = Network(kind)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    weight = next(p for p in model.inside.parameters() if p.ndim >= 2)

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
        z = x.clone().requires_grad_()
        penalty = gradient_penalty(model, Batch(x), z, "squared")
        assert penalty.dtype == torch.float32
    penalty.sum().backward()
    exact = copy.deepcopy(model).double()
    where = next(p for p in exact.inside.parameters() if p.ndim >= 2)
    flat = where.data.view(-1)
    for i in (0, 5):
        values = []
        for step in (1e-5, -2e-5):
            flat[i] += step
            code = x.double().requires_grad_()
            values.append(gradient_penalty(exact, Batch(x), code, "squared").sum().item())
        flat[i] += 1e-5
        slope = (values[0] - values[1]) / 2e-5
        assert weight.grad.view(-1)[i].item() == pytest.approx(slope, rel=2e-3, abs=1e-7)


def test_sixteen_bit_codes_and_frozen_encoders_are_welcome():
    model = Network("gru")
    x = torch.randn(4, 3)
    full = gradient_penalty(model, Batch(x), x.bfloat16().float(), "squared")
    assert torch.equal(gradient_penalty(model, Batch(x), x.bfloat16(), "squared"), full)
    with torch.no_grad():
        silent = gradient_penalty(model, Batch(x), x.bfloat16(), "squared")
    assert torch.allclose(silent, full)
    assert not silent.requires_grad
