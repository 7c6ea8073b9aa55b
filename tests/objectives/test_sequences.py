"""The objectives on the networks for sequences, in sixteen bits too."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.functional import jacobian

from molae.densities import StandardNormal
from molae.draws import choose
from molae.models import Autoencoder
from molae.nn.autoregressive import AutoregressiveDecoder
from molae.nn.encoders import RecurrentEncoder
from molae.nn.feedforward import FeedForwardDecoder
from molae.nn.heads import ConstantNormalHead, DeltaHead, NormalHead
from molae.nn.implicit_heads import ImplicitHead
from molae.nn.stiefel import StiefelHead
from molae.objectives import objective
from molae.objectives.regularizers import gradient_penalty
from molae.types import PAD, Batch

V, T, D = 5, 6, 3


class Anything:
    """Every entry may follow every other."""

    size, max_steps = V, T

    def mask(self, x):
        return torch.ones(*x.shape, V, dtype=torch.bool)

    def start(self, n, device="cpu"):
        return torch.zeros(n, dtype=torch.int64)

    def allowed(self, state):
        return (state < T).unsqueeze(-1).expand(-1, V)

    def choose(self, state, logits, **how):
        return choose(logits, self.allowed(state), **how)

    def advance(self, state, rule):
        return state + (rule != PAD)

    def finished(self, state):
        return state >= T

    def take(self, state, rows):
        return state[rows]

    def put(self, state, rows, new):
        state[rows] = new


DECODERS = {
    "autoregressive": lambda: AutoregressiveDecoder(V, D, Anything(), embedding=4, hidden=8),
    "feedforward": lambda: FeedForwardDecoder(V, D, Anything(), hidden=8, layers=2),
}


@pytest.fixture(params=sorted(DECODERS))
def decoder(request):
    torch.manual_seed(0)
    return DECODERS[request.param]()


@pytest.fixture
def batch():
    x = torch.randint(0, V, (4, T), generator=torch.Generator().manual_seed(0))
    x[1, 3:] = PAD
    return Batch(x)


def assemble(decoder, head):
    encoder = RecurrentEncoder(V, 4, 8)
    return Autoencoder(encoder, head(encoder.width, D), decoder, StandardNormal(D))


CASES = [("vae", {}, NormalHead), ("ae", {"weight": 0.1}, DeltaHead)]
CASES += [("cvvae", {}, ConstantNormalHead)]
# Of four codes the discrepancy is known so badly that its noise must not count for much.
CASES += [("wae", {"weight": 0.3}, head) for head in (DeltaHead, NormalHead)]
CASES += [("rae", {"regularizer": r}, DeltaHead) for r in ("none", "l2", "gp", "sn")]
CASES += [("rae", {"regularizer": "gp", "gradient": "jacobian"}, DeltaHead)]
CASES += [("geco", {"constraint": name, "warmup": 100}, NormalHead) for name in ("nats", "exact")]
CASES += [("dae", {}, DeltaHead), ("vcae", {}, ConstantNormalHead), ("strkm", {}, StiefelHead)]
CASES += [("aae", {}, DeltaHead), ("aae", {}, ImplicitHead), ("avb", {}, ImplicitHead)]


@pytest.mark.parametrize(("name", "settings", "head"), CASES, ids=str)
@pytest.mark.parametrize("low", [False, True])
def test_every_objective_trains_every_decoder(decoder, batch, name, settings, head, low):
    made = objective(name, **settings)
    model = assemble(decoder, head)
    made.prepare(model)
    player, *_ = made.players(model)
    optimizer = torch.optim.Adam(player.parameters, 0.02)
    losses = []
    for step in range(25):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            terms = player.terms(model, batch, step)
        assert all(part.dtype == torch.float32 for part in terms.parts.values())
        loss = terms.loss()
        optimizer.zero_grad()
        loss.backward(inputs=player.parameters)
        assert all(p.grad is None or p.grad.isfinite().all() for p in player.parameters)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5])
    model.eval()
    assert model.decode(model.encode(batch.x)).shape == (4, T)


def test_gradient_penalty_is_the_explicit_one(decoder, batch):
    decoder.double()
    model = assemble(decoder, DeltaHead)
    z = torch.randn(4, D, dtype=torch.float64)
    mine = gradient_penalty(model, batch, z.requires_grad_(), "squared")
    parameters = [p for p in decoder.parameters() if p.ndim >= 2]
    got = torch.autograd.grad(mine.sum(), parameters, allow_unused=True)
    total = 0.0
    for row, x in zip(z.detach(), batch.x, strict=True):

        def squares(code, x=x):
            return decoder(code.unsqueeze(0)).outputs(x.unsqueeze(0)).square().sum()

        total = total + jacobian(squares, row, create_graph=True).square().mean()
    assert torch.allclose(mine.sum(), total)
    want = torch.autograd.grad(total, parameters, allow_unused=True)
    for one, two in zip(got, want, strict=True):
        assert (one is None) == (two is None)
        assert one is None or torch.allclose(one, two)
