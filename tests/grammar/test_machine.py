"""The machine's promise: every derivation ends in time, and is a molecule where it says so."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase

from molae.chem.molecules import radical_atoms
from molae.codecs import GrammarCodec, restricted_codec, shipped_codec
from molae.draws import choose
from molae.grammar.cfg import Grammar
from molae.grammar.machine import GrammarConstraint
from molae.types import PAD

EXAMPLES = ("C/C=C/[C@H](Cl)C1=C[NH+]=CC=C1.[Na+].[Cl-]", "C[S+]([O-])C#CP(=O)(O)OB(O)Br")


def roll(constraint, logits, *, seed=0, temperature=1.0, steps=None):
    """Derivations (n, steps) drawn from logits (n, V), and in which places something was legal."""
    state = constraint.start(len(logits))
    index = torch.arange(len(logits))
    rules, open_ends = [], []
    for step in range(steps or constraint.max_steps):
        allowed = constraint.allowed(state)
        open_ends.append(allowed.any(1) | constraint.finished(state))
        rule = choose(
            logits, allowed, seed=seed, index=index, step=index * 0 + step, temperature=temperature
        )
        state = constraint.advance(state, rule)
        rules.append(rule)
    return torch.stack(rules, 1), torch.stack(open_ends, 1), state


def peaked(n, size, peak, seed):
    generator = torch.Generator().manual_seed(seed)
    return peak * torch.randn(n, size, generator=generator)


def assert_molecules(texts):
    with rdBase.BlockLogs():
        for text in texts:
            mol = Chem.MolFromSmiles(text)
            assert mol is not None, text
            assert mol.GetNumAtoms() > 0, text
            assert not radical_atoms(mol), text


@pytest.fixture(scope="module", params=["general", "restricted"])
def codec_of(request):
    """A codec with some budget."""
    if request.param == "general":
        return lambda steps: shipped_codec("smiles", steps)
    grammar = restricted_codec(EXAMPLES).grammar
    return lambda steps: GrammarCodec(grammar, steps)


@pytest.mark.parametrize("steps", [4, 5, 6, 7, 9, 12, 20, 45, 120])
@pytest.mark.parametrize("peak", [0.0, 6.0])
def test_every_derivation_ends_in_time_and_is_a_molecule(codec_of, steps, peak):
    codec = codec_of(steps)
    # RDKit's ring perception has no bound on lattices of hundreds of rings: fewer where strings
    # are long and repeat themselves.
    n = 60 if steps < 60 else 12
    x, open_ends, state = roll(codec.constraint, peaked(n, codec.size, peak, steps), seed=steps)
    assert codec.constraint.finished(state).all()
    assert open_ends.all()
    texts = codec.decode(x)
    assert all(texts)
    assert_molecules(texts)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    steps=st.integers(4, 40),
    peak=st.floats(0, 12),
    temperature=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_any_draw_is_a_molecule(seed, steps, peak, temperature):
    codec = shipped_codec("smiles", steps)
    logits = peaked(6, codec.size, peak, seed)
    x, open_ends, state = roll(codec.constraint, logits, seed=seed, temperature=temperature)
    assert codec.constraint.finished(state).all()
    assert open_ends.all()
    assert_molecules(codec.decode(x))


def test_what_was_drawn_is_parsed_again(general_codec):
    codec = shipped_codec("smiles", 40)
    x, _, _ = roll(codec.constraint, torch.zeros(150, codec.size), seed=5)
    texts = codec.decode(x)
    # The string itself, and nearly always its canonical Kekule form.
    own = general_codec.parse(texts, prepared=True)
    assert own.rejects == []
    assert general_codec.decode(own.padded()) == texts
    # RDKit spells some of these absurd molecules in a way that is left out (docs/grammar.md): an
    # order stated only where a ring closes at an atom in brackets or at iodine.
    assert len(general_codec.parse(texts).rejects) < 0.1 * len(texts)


def test_mask_is_what_each_step_allows(codec_of):
    codec = codec_of(25)
    x, _, _ = roll(codec.constraint, torch.zeros(40, codec.size), seed=1)
    mask = codec.constraint.mask(x)
    assert mask.shape == (*x.shape, codec.size)
    state = codec.constraint.start(len(x))
    for step in range(x.shape[1]):
        assert torch.equal(mask[:, step], codec.constraint.allowed(state))
        state = codec.constraint.advance(state, x[:, step])
    taken = mask.gather(2, x.clamp(min=0)[..., None])[..., 0]
    assert taken[x >= 0].all()
    assert not mask[x == PAD].any()
    # The same again, from whatever is remembered, in another order and cut shorter.
    again = codec.constraint.mask(x.flip(0)[:, :9])
    assert torch.equal(again, mask.flip(0)[:, :9])


def test_states_are_saved_sliced_and_resumed(codec_of):
    codec = codec_of(30)
    machine = codec.constraint
    x, _, _ = roll(machine, torch.zeros(30, codec.size), seed=2)
    state = machine.start(30)
    for step in range(8):
        state = machine.advance(state, x[:, step])
    rows = torch.tensor([29, 3, 3, 11])
    saved = machine.take(state, rows)
    pasted = machine.start(6)
    machine.put(pasted, torch.tensor([4, 0, 2, 5]), saved)
    expected = machine.allowed(state)[rows]
    for step in range(8, 30):
        assert torch.equal(machine.allowed(saved), expected)
        assert torch.equal(machine.allowed(pasted)[torch.tensor([4, 0, 2, 5])], expected)
        saved = machine.advance(saved, x[rows, step])
        moved = torch.full((6,), PAD)
        moved[torch.tensor([4, 0, 2, 5])] = x[rows, step]
        pasted = machine.advance(pasted, moved)
        state = machine.advance(state, x[:, step])
        expected = machine.allowed(state)[rows]
    assert machine.finished(saved).all()
    fresh = machine.allowed(machine.start(1))[0]
    assert torch.equal(machine.allowed(pasted)[1], fresh)  # rows with PAD stayed as they were


def test_a_row_does_not_depend_on_the_batch(codec_of):
    codec = codec_of(24)
    logits = peaked(20, codec.size, 3.0, 7)
    together, _, _ = roll(codec.constraint, logits, seed=3)
    state = codec.constraint.start(1)
    for step in range(24):
        allowed = codec.constraint.allowed(state)
        index, place = torch.tensor([13]), torch.tensor([step])
        rule = choose(logits[13:14], allowed, seed=3, index=index, step=place)
        assert rule.item() == together[13, step].item()
        state = codec.constraint.advance(state, rule)


def test_every_rule_of_real_molecules_is_allowed(real_molecules, general_codec):
    encoding = general_codec.parse(real_molecules)
    assert encoding.rejects == []
    x = encoding.padded()
    assert (general_codec.constraint.first_illegal(x) == -1).all()


def test_the_bound_of_the_budget_is_tight(real_molecules, general_codec):
    """What rings and valences owe is bounded from above, by eight steps too many at most."""
    for text in real_molecules[::16]:
        whole = general_codec.parse([text])
        exact = GrammarConstraint(general_codec.grammar, len(whole.rules) + 8)
        assert exact.first_illegal(whole.padded()).tolist() == [-1], text


def test_the_budget_is_exact_where_no_ring_is_open(general_codec):
    for text in ("C", "CCO", "CC(C)C", "OC(=O)C#N", "C[N+](C)(C)C", "[Na+].[Cl-]", "CS(C)(=O)=O"):
        whole = general_codec.parse([text], prepared=True)
        exact = GrammarConstraint(general_codec.grammar, len(whole.rules))
        assert exact.first_illegal(whole.padded()).tolist() == [-1], text
        if len(whole.rules) > 2:
            short = GrammarConstraint(general_codec.grammar, len(whole.rules) - 1)
            assert short.first_illegal(whole.padded()).tolist() != [-1], text


def test_budget_off_may_cut_off(codec_of):
    codec = codec_of(40)
    free = GrammarConstraint(codec.grammar, 40, budget=False)
    logits = torch.zeros(80, codec.size)
    x, _, state = roll(free, logits, seed=0)
    cut = ~free.finished(state)
    assert cut.any()
    texts = codec.decode(x)
    assert [text is None for text in texts] == cut.tolist()
    assert_molecules([text for text in texts if text])  # what ended is still a molecule


def test_attributes_off_lets_other_strings_through(codec_of):
    codec = codec_of(30)
    loose = GrammarConstraint(codec.grammar, 30, attributes=False)
    x, open_ends, state = roll(loose, torch.zeros(80, codec.size), seed=0)
    assert loose.finished(state).all()
    assert open_ends.all()
    with rdBase.BlockLogs():
        refused = [t for t in codec.decode(x) if t is None or Chem.MolFromSmiles(t) is None]
    assert refused
    assert None not in codec.decode(x)


def test_attributes_only_take_away(codec_of):
    codec = codec_of(30)
    x, _, _ = roll(codec.constraint, torch.zeros(40, codec.size), seed=4)
    tight = codec.constraint.mask(x)
    for switch in ("budget", "attributes"):
        loose = GrammarConstraint(codec.grammar, 30, **{switch: False}).mask(x)
        assert not (tight & ~loose).any()
        assert (loose & ~tight).any()


def test_stack_off_ignores_the_nonterminal():
    grammar = shipped_codec("equation").grammar
    wild = GrammarConstraint(grammar, 20, stack=False, budget=False)
    tame = GrammarConstraint(grammar, 20, budget=False)
    assert wild.allowed(wild.start(1)).all()
    on_top = torch.tensor([rule.lhs == grammar.start for rule in grammar.rules])
    assert torch.equal(tame.allowed(tame.start(1))[0], on_top)


@pytest.mark.parametrize("name", ["zinc", "equation"])
@pytest.mark.parametrize("steps", [9, 10, 15, 60])
def test_other_grammars_end_in_time(name, steps):
    codec = shipped_codec(name, steps)
    x, open_ends, state = roll(codec.constraint, peaked(60, codec.size, 4.0, steps))
    assert codec.constraint.finished(state).all()
    assert open_ends.all()
    assert all(codec.decode(x))
    assert codec.constraint.attributes is False


@pytest.mark.parametrize("budget", [True, False])
def test_rules_that_cannot_end_are_never_allowed(budget):
    grammar = shipped_codec("zinc").grammar
    assert (~grammar.finite).sum() == 3  # two with "class", and the padding rule of the paper
    constraint = GrammarConstraint(grammar, 40, budget=budget)
    never = torch.from_numpy(~grammar.finite)
    state = constraint.start(60)
    for step in range(40):
        allowed = constraint.allowed(state)
        assert not allowed[:, never].any()
        index = torch.arange(60)
        rule = choose(
            never.float().expand(60, -1), allowed, seed=1, index=index, step=index + step
        )
        state = constraint.advance(state, rule)


def test_iodine_is_not_drawn_as_rdkit_would_refuse_it(general_codec):
    """RDKit makes charges of I=O beside oxygens, whatever the oxygen has already."""
    kept = ("O=IC1=CC=CC=C1", "CC(=O)OI(OC(C)=O)C1=CC=CC=C1", "C[125I]", "CC(=O)I", "CI")
    assert not general_codec.parse(kept).rejects
    machine, grammar = general_codec.constraint, general_codec.grammar
    for text in ("C[O+]=I", "COI=[O+]C", "C1OI=1", "[O+]1CI=1", "C=I=1CC[O+]1"):
        x = torch.tensor([_derivation(grammar, text)])
        assert machine.first_illegal(x).item() >= 0, text


def _derivation(grammar, text):
    """Rules that spell the beginning of a text, by the stack alone."""
    free = GrammarConstraint(grammar, 60, attributes=False)
    state, rules = free.start(1), []
    while text:
        for rule in free.allowed(state)[0].nonzero()[:, 0].tolist():
            first = grammar.rules[rule].rhs[:1]
            word = grammar.terminals[-1 - first[0]] if first else ""
            if word and text.startswith(word) and not text.startswith(word + "l"):
                break
        else:
            raise AssertionError(text)
        rules.append(rule)
        text = text[len(word) :]
        state = free.advance(state, torch.tensor([rule]))
    return rules


def test_too_small_a_budget_is_an_error():
    with pytest.raises(ValueError, match=r"shortest derivation .* takes 2"):
        GrammarConstraint(shipped_codec("smiles").grammar, 1)
    hopeless = Grammar.from_text("S -> 'a' S\n")
    with pytest.raises(ValueError, match="infinitely many"):
        GrammarConstraint(hopeless, 10)


def test_empty_batches(codec_of):
    machine = codec_of(10).constraint
    state = machine.start(0)
    assert machine.allowed(state).shape == (0, machine.size)
    machine.advance(state, torch.zeros(0, dtype=torch.int64))
    x = torch.zeros(3, 0, dtype=torch.int64)
    assert machine.mask(x).shape == (3, 0, machine.size)
    assert machine.first_illegal(x).tolist() == [-1, -1, -1]
