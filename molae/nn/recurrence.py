"""What `torch.nn.GRU` lacks: second derivatives everywhere, and single steps that are cheap.

All ways of running a GRU (the library's kernel, `fused`, `unroll`, `GRUSteps`) read the same
weights, by name, at each call, so that parametrised weights (spectral norm) are seen by each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from molae.nn.fused_gru import FusedGRU
from molae.repeatable import in_tiles

_TWICE: ContextVar[bool] = ContextVar("molae_double_backward", default=False)


@contextmanager
def double_backward() -> Iterator[None]:
    """Within this context recurrences are differentiable twice, on any device, but slower.

    The fused kernels of cuDNN have no second derivative; here every step is spelt out instead.
    Autocast should be off: second derivatives need the digits.
    """
    token = _TWICE.set(True)
    try:
        yield
    finally:
        _TWICE.reset(token)


def make_gru(size: int, hidden: int, layers: int = 1) -> nn.GRU:
    """A time-major GRU whose recurrent matrices start orthogonal, gate by gate.

    Args:
        size: Width of the inputs.
        hidden: Width of the state, H.
        layers: How many layers lie on top of each other.
    """
    gru = nn.GRU(size, hidden, layers)
    for layer in range(layers):
        for gate in getattr(gru, f"weight_hh_l{layer}").detach().split(hidden):
            nn.init.orthogonal_(gate)
    return gru


def run(gru: nn.GRU, inputs: Tensor, start: Tensor) -> Tensor:
    """States of the top layer at every step: inputs (T, B, E), start (L, B, H) -> (T, B, H)."""
    if _TWICE.get():
        return unroll(gru, inputs, start)
    trained = torch.is_grad_enabled() and gru.weight_hh_l0.dtype == torch.float32
    if trained and inputs.device.type == "cpu":
        return fused(gru, inputs, start)
    out: Tensor = gru(inputs, start)[0]
    return out


def fused(gru: nn.GRU, inputs: Tensor, start: Tensor) -> Tensor:
    """`run` on a processor, to be differentiated once: inputs (T, B, E), start (L, B, H)."""
    for layer in range(gru.num_layers):
        into, across, bias_into, bias_across = weights(gru, layer)
        given = linear(inputs, into)  # (T, B, 3H), one product for all steps
        inputs = FusedGRU.apply(  # type: ignore[no-untyped-call]
            given, start[layer], across, bias_into, bias_across
        )
    return inputs


def unroll(gru: nn.GRU, inputs: Tensor, start: Tensor) -> Tensor:
    """`run` in elementary operations: inputs (T, B, E), start (L, B, H) -> (T, B, H)."""
    for layer in range(gru.num_layers):
        into, across, bias_into, bias_across = weights(gru, layer)
        given = linear(inputs, into, bias_into)  # (T, B, 3H), one product for all steps
        state = start[layer]
        states = []
        for now in given.unbind(0):
            state = cell(now, linear(state, across, bias_across), state)
            states.append(state)
        inputs = torch.stack(states)  # (T, B, H)
    return inputs


def cell(given: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
    """One GRU update in torch's gate order (reset, update, new).

    Args:
        given: Contribution of the input, its biases included, (B, 3H).
        recurrent: Contribution of the state, its biases included, (B, 3H).
        state: The state before, (B, H).
    """
    width = state.shape[-1]
    gates = torch.sigmoid(given[..., : 2 * width] + recurrent[..., : 2 * width])
    reset, update = gates[..., :width], gates[..., width:]
    new = torch.tanh(given[..., 2 * width :] + reset * recurrent[..., 2 * width :])
    return torch.lerp(new, state, update)


def weights(gru: nn.GRU, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Matrices and biases of a layer: (3H, E), (3H, H), (3H,), (3H,)."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    into, across, bias_into, bias_across = (getattr(gru, f"{name}_l{layer}") for name in names)
    return into, across, bias_into, bias_across


class GRUSteps:
    """A GRU, one step at a time and without gradients, for generation.

    What does not change from step to step is done once: the bottom layer's product with the
    embedding becomes a table with a row per entry of the vocabulary. A step is then a look-up, one
    matrix product with the state, and the gates.

    Args:
        gru: Its weights are read now; make a new object after they change.
        table: Embedding, (V + 1, E).
        block: Rows of each product with the state.
        low: Do the products with the state in bfloat16; sums, gates and states stay float32.
    """

    def __init__(self, gru: nn.GRU, table: Tensor, *, block: int, low: bool = False) -> None:
        self.block, self.low = block, low
        dtype = torch.bfloat16 if low else torch.float32
        layers = [weights(gru, layer) for layer in range(gru.num_layers)]
        self.into = [layer[0].detach().float() for layer in layers]
        self.across = [layer[1].detach().to(dtype).t().contiguous() for layer in layers]
        self.upward = [layer[0].detach().to(dtype).t().contiguous() for layer in layers[1:]]
        self.bias_into = [layer[2].detach().float() for layer in layers]
        self.bias_across = [layer[3].detach().float() for layer in layers]
        self.table = linear(table.detach().float(), self.into[0], self.bias_into[0])  # (V + 1, 3H)

    def project(self, inputs: Tensor) -> Tensor:
        """What a constant input adds to the bottom layer's gates: (n, E) -> (n, 3H)."""
        return linear(inputs, self.into[0])

    def step(self, entry: Tensor, constant: Tensor, states: list[Tensor]) -> list[Tensor]:
        """One step of all layers.

        Args:
            entry: Rows of the table, (n,) int64.
            constant: From `project`, (n, 3H).
            states: State of each layer, (n, H).
        """
        given = self.table.index_select(0, entry).add_(constant)  # (n, 3H)
        after: list[Tensor] = []
        for layer, state in enumerate(states):
            if layer:
                given = self._product(after[-1], self.upward[layer - 1], self.bias_into[layer])
            recurrent = self._product(state, self.across[layer], self.bias_across[layer])
            after.append(_cell_in_place(given, recurrent, state))
        return after

    def _product(self, state: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
        if self.low:
            low = in_tiles(lambda rows: rows @ matrix, state.bfloat16(), self.block)
            return low.float().add_(bias)
        return in_tiles(lambda rows: torch.addmm(bias, rows, matrix), state, self.block)


def _cell_in_place(given: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
    """`cell`, using up ``given`` (n, 3H) as scratch space: memory traffic is the cost."""
    width = state.shape[-1]
    gates = given[:, : 2 * width].add_(recurrent[:, : 2 * width]).sigmoid_()
    new = given[:, 2 * width :].addcmul_(gates[:, :width], recurrent[:, 2 * width :]).tanh_()
    return torch.lerp(new, state, gates[:, width:])
