from __future__ import annotations

from threading import Barrier, Thread, get_ident

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from molae.nn.fused_gru import _share, _threads
from molae.nn.recurrence import GRUSteps, double_backward, fused, make_gru, run, unroll


@pytest.fixture(params=[1, 3], ids=["one-layer", "three-layers"])
def gru(request):
    torch.manual_seed(0)
    return make_gru(6, 16, request.param)


def given(gru):
    return torch.randn(7, 5, 6), torch.randn(gru.num_layers, 5, 16)


def test_recurrent_matrices_start_orthogonal(gru):
    for gate in gru.weight_hh_l0.detach().split(16):
        torch.testing.assert_close(gate @ gate.t(), torch.eye(16))


def test_unrolled_equals_the_library_with_gradients(gru):
    inputs, start = given(gru)
    inputs.requires_grad_()
    slow, fast = unroll(gru, inputs, start), gru(inputs, start)[0]
    torch.testing.assert_close(slow, fast)
    wanted = [inputs, *gru.parameters()]
    for a, b in zip(
        torch.autograd.grad(slow.square().sum(), wanted),
        torch.autograd.grad(fast.square().sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_the_context_manager_switches_and_switches_back(gru, monkeypatch):
    inputs, start = given(gru)
    calls = []
    monkeypatch.setattr("molae.nn.recurrence.unroll", lambda *a: calls.append(a) or inputs)

    def fail():
        with double_backward():
            run(gru, inputs, start)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    run(gru, inputs, start)
    assert len(calls) == 1


def test_second_derivatives_are_right():
    torch.manual_seed(0)
    gru = make_gru(2, 3).double()
    inputs = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    start = torch.randn(1, 2, 3, dtype=torch.float64, requires_grad=True)
    with double_backward():
        assert torch.autograd.gradgradcheck(lambda a, b: run(gru, a, b), (inputs, start))


@pytest.mark.parametrize("normalised", [False, True])
def test_single_steps_equal_the_whole(gru, normalised):
    if normalised:
        for layer in range(gru.num_layers):
            spectral_norm(gru, f"weight_hh_l{layer}")
            spectral_norm(gru, f"weight_ih_l{layer}")
        gru.eval()
    table = nn.Embedding(10, 6)
    entries = torch.randint(10, (7, 5))
    constant = torch.randn(5, 6)
    start = torch.randn(gru.num_layers, 5, 16)
    with torch.no_grad():
        whole = run(gru, table(entries) + constant, start)
        steps = GRUSteps(gru, table.weight, block=4)
        states = list(start)
        for entry, state in zip(entries, whole, strict=True):
            states = steps.step(entry, steps.project(constant), states)
            torch.testing.assert_close(states[-1], state)


def test_low_precision_steps_are_close(gru):
    table, entry = torch.randn(10, 6), torch.arange(5)
    states = [torch.rand(5, 48) for _ in range(gru.num_layers)]
    wide = make_gru(6, 48, gru.num_layers)
    constant = torch.randn(5, 144)
    exact = GRUSteps(wide, table, block=512).step(entry, constant, states)
    low = GRUSteps(wide, table, block=512, low=True).step(entry, constant, states)
    torch.testing.assert_close(low[-1], exact[-1], atol=3e-2, rtol=0)


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("rows", [3, 70])  # in one thread, and in as many as there are
def test_fused_equals_unrolled_with_gradients(rows, low):
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    layers = make_gru(5, 24, 2)
    for name, bias in layers.named_parameters():
        if name.startswith("bias"):
            nn.init.normal_(bias)
    inputs = torch.randn(9, rows, 5, requires_grad=True)
    start = torch.randn(2, rows, 24, requires_grad=True)
    weight = torch.randn(9, rows, 24)

    def outcome(way):
        with torch.autocast("cpu", torch.bfloat16, enabled=low and way is fused):
            states = way(layers, inputs, start)
        total = (states.float() * weight).sum()
        return states.detach().float(), *torch.autograd.grad(
            total, [inputs, start, *layers.parameters()]
        )

    for found, wanted in zip(outcome(fused), outcome(unroll), strict=True):
        assert (found - wanted).norm() < (0.02 if low else 1e-5) * wanted.norm()
    assert torch.get_num_threads() == threads


def test_training_on_a_processor_is_fused(gru, monkeypatch):
    used = []
    monkeypatch.setattr("molae.nn.recurrence.fused", lambda *given: used.append(given))
    run(gru, *given(gru))
    assert len(used) == 1
    with torch.no_grad():
        run(gru, *given(gru))
    run(gru.double(), *(part.double() for part in given(gru)))
    assert len(used) == 1


def test_what_is_not_asked_for_is_not_computed(monkeypatch):
    torch.manual_seed(0)
    layers = make_gru(5, 24, 2)
    inputs = torch.randn(9, 3, 5, requires_grad=True)

    def slope():
        return torch.autograd.grad(fused(layers, inputs, torch.zeros(2, 3, 24)).sum(), inputs)[0]

    wanted = slope()
    layers.requires_grad_(False)
    monkeypatch.setattr("molae.nn.fused_gru._outer", None)
    assert torch.equal(slope(), wanted)


@pytest.mark.parametrize("threads", [1, 4])
def test_shares_are_computed_at_once_without_gradients(threads):
    """Those of a pool once followed the recurrent matrix, and raced for what they add to."""
    seen, count = [], torch.get_num_threads()
    every = Barrier(threads, timeout=30)  # broken where one thread has two shares

    def work(first, stop):
        every.wait()
        seen.append((get_ident(), stop - first, torch.is_grad_enabled(), torch.get_num_threads()))

    torch.set_num_threads(threads)
    try:
        _share(work, 128)
    finally:
        torch.set_num_threads(count)
    assert [part[1:] for part in seen] == [(128 // threads, False, 1)] * threads
    assert len({part[0] for part in seen}) == threads


def test_threads_of_others_compute_as_before():
    """What a thread of the pool says of itself is what later ones begin with."""
    before, told = torch.get_num_threads(), []
    try:
        for _ in range(20):
            _threads.cache_clear()
            torch.set_num_threads(4)
            _share(lambda first, stop: None, 128)
            other = Thread(target=lambda: told.append(torch.get_num_threads()))
            other.start()
            other.join()
    finally:
        torch.set_num_threads(before)
    assert told == [4] * 20


def test_the_first_call_may_come_from_several_threads_at_once():
    """Pools that are made at the same time do not stand in each other's way."""
    torch.manual_seed(0)
    layers = make_gru(5, 24)
    inputs, start = torch.randn(9, 70, 5, requires_grad=True), torch.zeros(1, 70, 24)
    found, every, before = [], Barrier(4, timeout=30), torch.get_num_threads()

    def work():
        every.wait()
        states = fused(layers, inputs, start)
        found.append((states.detach(), *torch.autograd.grad(states.sum(), layers.parameters())))

    torch.set_num_threads(2)
    _threads.cache_clear()
    threads = [Thread(target=work) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        torch.set_num_threads(before)
    assert len(found) == 4
    for one in found[1:]:
        for a, b in zip(one, found[0], strict=True):
            torch.testing.assert_close(a, b)
