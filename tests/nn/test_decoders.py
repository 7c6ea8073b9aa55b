"""Laws that hold for every decoder, under every constraint."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import pad

from molae.nn.generation import generate
from molae.nn.sequence import AutoregressiveDecoder, FeedForwardDecoder, double_backward
from molae.types import PAD

KINDS = ["autoregressive", "two-layers", "told", "feedforward"]


def build(kind, constraint, **more):
    torch.manual_seed(0)
    if kind == "feedforward":
        decoder = FeedForwardDecoder(9, 4, constraint, hidden=16, layers=2, tile=8, **more)
    else:
        layers = 2 if kind == "two-layers" else 1
        more |= {"noise": (0.1, 2.0)} if kind == "told" else {}
        decoder = AutoregressiveDecoder(
            9, 4, constraint, embedding=8, hidden=16, layers=layers, tile=8, **more
        )
    # Sharper than at initialisation, so that codes and histories matter for what is chosen.
    with torch.no_grad():
        decoder.to_logits.weight.mul_(8)
    return decoder.eval()


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def decoder(kind, constraint):
    return build(kind, constraint)


def codes(n, *lead, seed=0):
    return torch.randn(*lead, n, 4, generator=torch.Generator().manual_seed(seed))


def test_padding_changes_nothing(decoder, sequences):
    likelihood = decoder(codes(64))
    expected = likelihood.log_prob(sequences)
    torch.testing.assert_close(likelihood.log_prob(pad(sequences, (0, 5), value=PAD)), expected)
    length = int((sequences[3] != PAD).sum())
    alone = decoder(codes(64)[3:4]).log_prob(sequences[3:4, :length])
    torch.testing.assert_close(alone, expected[3:4])
    assert decoder(codes(2)).log_prob(torch.full((2, 3), PAD)).tolist() == [0, 0]


def test_leading_sample_shapes(decoder, sequences):
    z = codes(64, 2, 3)
    log_prob, outputs = decoder(z).log_prob(sequences), decoder(z).outputs(sequences)
    assert log_prob.shape == (2, 3, 64)
    assert outputs.shape == (2, 3, 64, 12, 9)
    torch.testing.assert_close(log_prob[1, 2], decoder(z[1, 2]).log_prob(sequences))
    torch.testing.assert_close(outputs[1, 2], decoder(z[1, 2]).outputs(sequences))
    few = z[..., :5, :]
    assert decoder(few).mode().shape == (2, 3, 5, 12)
    assert torch.equal(decoder(few).mode()[1, 2], decoder(few[1, 2]).mode())
    index = torch.arange(30).view(2, 3, 5)
    drawn = decoder(few).sample(3, index)
    assert torch.equal(drawn[1, 2], decoder(few[1, 2]).sample(3, index[1, 2]))


def test_log_prob_is_the_sum_over_the_outputs(decoder, sequences):
    outputs = decoder(codes(64)).outputs(sequences)
    there = sequences != PAD
    torch.testing.assert_close(outputs.sum(-1), there.float())
    assert (outputs[~(decoder.constraint.mask(sequences) & there[..., None])] == 0).all()
    taken = outputs.gather(-1, sequences.clamp(min=0)[..., None])[..., 0]
    by_hand = torch.where(there, taken, 1.0).log().sum(-1)
    torch.testing.assert_close(decoder(codes(64)).log_prob(sequences), by_hand)


def test_log_prob_equals_the_steps_of_generation(decoder, sequences):
    stepper, constraint = decoder.stepper(), decoder.constraint
    with torch.no_grad():
        memory, state = stepper.begin(decoder(codes(64)).z), constraint.start(64)
        previous, total = torch.full((64,), PAD), torch.zeros(64)
        for step, rule in enumerate(sequences.unbind(1)):
            logits, memory = stepper.step(memory, previous, torch.full((64,), step))
            allowed = constraint.allowed(state)
            masked = torch.log_softmax(logits.masked_fill(~allowed, -1e9), -1)
            there = rule != PAD
            total += torch.where(there, masked.gather(-1, rule.clamp(min=0)[:, None])[:, 0], 0.0)
            state, previous = constraint.advance(state, rule), rule
        torch.testing.assert_close(decoder(codes(64)).log_prob(sequences), total)


def test_probabilities_of_all_sequences_sum_to_one(kind, alternating):
    alternating.max_steps = 6
    decoder = build(kind, alternating)
    odd, even = (1, 3, 5, 7), (2, 4, 6, 8)
    every = [
        [*body, last, 0]
        for pairs in range(3)
        for body in itertools.product(*[odd, even] * pairs)
        for last in odd
    ]
    x = torch.tensor([row + [PAD] * (6 - len(row)) for row in every])
    with torch.no_grad():
        log_prob = decoder(codes(1).expand(len(x), -1)).log_prob(x)
    torch.testing.assert_close(log_prob.double().exp().sum().item(), 1.0, atol=1e-5, rtol=0)


def test_what_is_generated_obeys_the_constraint(kind, alternating):
    decoder = build(kind, alternating)
    for x in (decoder(codes(100)).mode(), decoder(codes(100)).sample(1, temperature=5.0)):
        assert x.shape == (100, 12)
        assert x.dtype == torch.int64
        legal = alternating.mask(x)
        there = x != PAD
        assert legal.gather(-1, x.clamp(min=0)[..., None])[..., 0][there].all()
        assert ((x == 0).sum(1) == 1).all()
        assert torch.equal(there.sum(1) - 1, x.eq(0).int().argmax(1))


def test_sequences_without_an_end_are_cut_off(kind, alternating, monkeypatch):
    monkeypatch.setattr(
        type(alternating), "legal", lambda self, step: torch.arange(9).expand(len(step), 9) > 0
    )
    x = build(kind, alternating)(codes(20)).sample(0)
    assert x.shape == (20, 12)
    assert (x > 0).all()


def test_one_by_one_equals_together(decoder):
    z = codes(37)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(5))
    for draw in (
        lambda rows: decoder(z[rows]).mode(),
        lambda rows: decoder(z[rows]).sample(7, rows, 1.3),
    ):
        together = draw(torch.arange(37))
        assert torch.equal(draw(order), together[order])
        assert torch.equal(torch.cat([draw(torch.tensor([row])) for row in range(37)]), together)


def test_seeds_and_indices_key_the_draws(decoder):
    likelihood = decoder(codes(50))
    assert torch.equal(likelihood.sample(1), likelihood.sample(1, torch.arange(50)))
    assert not torch.equal(likelihood.sample(1), likelihood.sample(2))
    assert not torch.equal(likelihood.sample(1), likelihood.sample(1, torch.arange(50) + 50))


def test_draws_become_greedy_as_the_temperature_falls(decoder):
    likelihood = decoder(codes(50))
    assert torch.equal(likelihood.sample(3, temperature=1e-6), likelihood.mode())


def test_mode_takes_the_best_entry_at_every_step(decoder):
    x = decoder(codes(20)).mode()
    with torch.no_grad():
        outputs = decoder(codes(20)).outputs(x)
    assert torch.equal(outputs.argmax(-1)[x != PAD], x[x != PAD])


def test_draws_follow_the_probabilities(kind, alternating):
    decoder = build(kind, alternating)
    z = codes(1).expand(4000, -1)
    first = decoder(z).sample(0)[:, 0]
    with torch.no_grad():
        expected = decoder(z[:1]).outputs(first[:1, None])[0, 0]
    torch.testing.assert_close(first.bincount(minlength=9) / 4000, expected, atol=0.03, rtol=0)


def test_nothing_and_wrong_arguments(decoder):
    assert decoder(codes(0)).mode().shape == (0, 12)
    with pytest.raises(ValueError, match="index of shape"):
        decoder(codes(3)).sample(0, torch.arange(2))
    with pytest.raises(ValueError, match="temperature=0"):
        decoder(codes(3)).sample(0, temperature=0.0)
    with pytest.raises(ValueError, match="tile=0"):
        generate(decoder.stepper(), codes(3), decoder.constraint, tile=0)


def test_context_is_needed_where_it_was_asked_for(kind, constraint, sequences):
    decoder = build(kind, constraint, context=3)
    context = torch.randn(64, 3)
    assert decoder(codes(64, 2), context).log_prob(sequences).shape == (2, 64)
    other = decoder(codes(64), -context).log_prob(sequences)
    assert not torch.allclose(decoder(codes(64), context).log_prob(sequences), other)
    assert decoder(codes(64), context).mode().shape == (64, 12)
    with pytest.raises(ValueError, match="no context was given"):
        decoder(codes(64))


def test_the_constraint_must_be_of_the_same_size(alternating):
    alternating.size = 10
    for make in (AutoregressiveDecoder, FeedForwardDecoder):
        with pytest.raises(ValueError, match="one codec"):
            make(9, 4, alternating)
    with pytest.raises(ValueError, match="'half'"):
        AutoregressiveDecoder(10, 4, alternating, precision="half")


def test_gradients_are_finite_and_reach_the_code(decoder, sequences):
    z = codes(64).requires_grad_()
    decoder(z).log_prob(sequences).sum().backward()
    assert z.grad.isfinite().all()
    assert (z.grad.abs().sum(-1) > 0).float().mean() > 0.8  # a ReLU may be dead for a few
    assert all(p.grad.isfinite().all() for p in decoder.parameters())


def test_the_gradient_penalty_can_be_lowered(decoder, sequences, monkeypatch):
    # On a CPU the library's kernel has second derivatives as well.
    monkeypatch.setattr("molae.nn.recurrence.fused", lambda gru, *given: gru(*given)[0])
    results = []
    for explicit in (False, True):
        z = codes(64).requires_grad_()
        decoder.zero_grad()
        if explicit:
            with double_backward():
                outputs = decoder(z).outputs(sequences)
        else:
            outputs = decoder(z).outputs(sequences)
        (slope,) = torch.autograd.grad(outputs.square().sum(), z, create_graph=True)
        slope.square().sum().backward()
        into_weights = [p.grad.clone() for p in decoder.gru.parameters()]
        results.append([outputs, slope, z.grad, *into_weights])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_autocast_keeps_log_probabilities_in_float32(decoder, sequences):
    exact = decoder(codes(64)).log_prob(sequences)
    with torch.autocast("cpu", torch.bfloat16):
        low = decoder(codes(64)).log_prob(sequences)
        drawn = decoder(codes(64)).mode()
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, exact, atol=0.5, rtol=0.05)
    assert torch.equal(drawn, decoder(codes(64)).mode())


def test_low_precision_generation_obeys_the_same_laws(alternating):
    decoder = build("autoregressive", alternating, precision="bf16")
    z = codes(37)
    together = decoder(z).sample(7)
    alone = [decoder(z[row : row + 1]).sample(7, torch.tensor([row])) for row in range(37)]
    assert torch.equal(torch.cat(alone), together)
    legal = alternating.mask(together).gather(-1, together.clamp(min=0)[..., None])[..., 0]
    assert legal[together != PAD].all()


def test_few_codes_are_decoded_in_one_block_and_as_among_many(alternating):
    """Products of a whole tile would cost eight times as much for five codes."""
    torch.manual_seed(0)
    decoders = [
        AutoregressiveDecoder(9, 4, alternating, embedding=8, hidden=64, tile=tile).eval()
        for tile in (64, 128, 512)
    ]
    z, rows = 3 * codes(300), []
    for decoder in decoders:
        decoder.load_state_dict(decoders[0].state_dict())
    whole = decoders[-1](z).sample(1)
    for decoder in decoders:
        assert torch.equal(decoder(z).sample(1), whole)
        stepper = decoder.stepper()
        step = stepper.step
        stepper.step = lambda m, p, s, step=step: rows.append(len(p)) or step(m, p, s)
        few = generate(stepper, z[:5], alternating, tile=decoder.tile, seed=1)
        assert torch.equal(few, whole[:5])
    assert set(rows) == {64}


def test_word_dropout_acts_in_training_only(alternating, sequences):
    decoder = build("autoregressive", alternating, word_dropout=0.5)
    likelihood = decoder(codes(64))
    assert torch.equal(likelihood.log_prob(sequences), likelihood.log_prob(sequences))
    decoder.train()
    assert not torch.equal(likelihood.log_prob(sequences), likelihood.log_prob(sequences))


def test_can_memorise_64_sequences(kind, alternating, sequences):
    torch.manual_seed(0)
    if kind == "feedforward":
        decoder = FeedForwardDecoder(9, 16, alternating, hidden=48, layers=1, tile=64)
    else:
        layers = 2 if kind == "two-layers" else 1
        decoder = AutoregressiveDecoder(
            9, 16, alternating, embedding=16, hidden=48, layers=layers, tile=64
        )
    z = torch.randn(64, 16, requires_grad=True)
    optimizer = torch.optim.Adam([z, *decoder.parameters()], lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        loss = -decoder(z).log_prob(sequences).mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.5
    assert (decoder(z).mode() == sequences).all(1).float().mean() > 0.95
