"""What keeps a deterministic decoder smooth: small weights, small gradients, bounded spectra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from molae.nn.recurrence import double_backward
from molae.objectives.base import Model
from molae.types import Batch

#: Transposed convolutions, which grow an image.
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
#: Layers whose weight is one linear map of the layer before.
_LINEAR_MAPS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    *_TRANSPOSED,
)


#: Which parts of a model have their spectra held at one, by what ``RAE`` calls that.
SPECTRA: dict[str, tuple[str, ...]] = {
    "decoder": ("decoder",),
    "both": ("encoder", "head", "decoder"),
}


def squared_weights(decoder: nn.Module) -> Tensor:
    """Sum of the squares of a decoder's weights, ().

    Of a decoder with transposed convolutions, which is one of images: their kernels. Dense layers
    are left alone, as by the authors of the RAE on MNIST and CIFAR-10 (on CelebA they count the
    dense kernel too, which is not done here; the paper's formula has all weights). Of any other
    decoder: all matrices and kernels (two dimensions or more) of dense, convolutional and
    recurrent layers and embeddings. Biases, and scales and shifts of normalisations, are left out.
    A weight that two layers share counts once.
    """
    kernels = [part.weight for part in decoder.modules() if isinstance(part, _TRANSPOSED)]
    if kernels:
        return torch.stack([kernel.square().sum() for kernel in kernels]).sum()
    total = torch.zeros((), device=next(decoder.parameters()).device)
    for name, parameter in decoder.named_parameters():
        if parameter.ndim >= 2 and "bias" not in name.rpartition(".")[2]:
            total = total + parameter.square().sum()
    return total


def gradient_penalty(model: Model, batch: Batch, z: Tensor, form: str) -> Tensor:
    """How fast the decoder's output y moves with the code, (B,).

    y is ``likelihood(z).outputs(x)``: pixels, or for sequences the probabilities (B, T, V) after
    the constraint, with ``x`` fed as teacher; y_n is that of example n.

    ``squared``: the mean over d of (d sum(y_n^2) / d z_nd)^2. This is what the authors of the RAE
    minimise (repository Regularized_autoencoders-RAE-, commit 9478b8f), there averaged over the
    batch too, here by ``Terms.loss``.

    ``jacobian``: the sum over d and all entries i of (d y_ni / d z_nd)^2, that is ||J_n||_F^2, the
    term that the paper writes, estimated without bias by ||J_n^T v||^2 with one v of random signs
    (Hutchinson 1990). Expect noise, not a number.

    Where examples look at each other in the decoder (batch normalisation in training mode, as in
    the authors' nets), the slope of n is that of the whole batch's total by z_n, as it is there.
    The second derivative needs kernels that have one and all the digits there are: autocast and
    cuDNN are off and attention is spelt out, in this call only.

    Args:
        model: Asked for its likelihood.
        batch: B examples.
        z: Codes, (B, D); gradients flow on to the encoder if they come from it.
        form: A key of ``molae.names.GRADIENTS``.
    """
    keep = torch.is_grad_enabled()
    with torch.enable_grad(), twice_differentiable(z.device.type):
        point = z.to(torch.promote_types(z.dtype, torch.float32))
        if not point.requires_grad:
            point = point.detach().requires_grad_()
        y = model.likelihood(point, batch.context).outputs(batch.x)  # (B, ...)
        if form == "squared":
            total = y.square().sum()
        else:
            signs = torch.randint(0, 2, y.shape, device=y.device, dtype=y.dtype) * 2 - 1
            total = (y * signs).sum()
        (slope,) = torch.autograd.grad(total, point, create_graph=keep)  # (B, D)
        return slope.square().mean(-1) if form == "squared" else slope.square().sum(-1)


@contextmanager
def twice_differentiable(device: str) -> Iterator[None]:
    """Only kernels that have a second derivative, in full precision."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(double_backward())
        yield


def normalize_spectra(net: nn.Module) -> list[str]:
    """Hold the largest singular value of a net's layers at one (Miyato et al., ICLR 2018).

    Dense and (transposed) convolutional layers are normalised, with one step of power iteration
    for each forward pass in training mode; kernels are seen as matrices, outputs by everything
    else, as in the paper. A transposed convolution is seen as the convolution that it is the
    transpose of, inputs by everything else, as in the code of the RAE's authors. (Torch takes its
    outputs by everything else. For the last layer of a decoder of grey images that is one row,
    whose norm of one leaves little contrast.)

    Left alone are: recurrent layers (torch keeps a flat list of their weights, with which a
    parametrised layer cannot be copied and is normalised several times a call; their gates are
    bounded anyway), attention's packed input projection, embeddings, and weights that two layers
    share. A layer that is normalised already is skipped, so a second call changes nothing.

    Args:
        net: Changed in place: ``weight`` becomes ``parametrizations.weight.original``.

    Returns:
        Names of the layers that are normalised, in order.

    Raises:
        ValueError: There is no layer to normalise.
    """
    names = []
    uses = _uses(net)
    for name, layer in net.named_modules():
        if not isinstance(layer, _LINEAR_MAPS):
            continue
        if not is_parametrized(layer, "weight"):
            if uses[id(layer.weight)] > 1:
                continue
            spectral_norm(layer, "weight", dim=0)
        names.append(name)
    if not names:
        raise ValueError(
            "spectral normalisation found no dense or convolutional layer in "
            f"{type(net).__name__}; use the regulariser 'l2' or 'gp'"
        )
    return names


def _uses(module: nn.Module) -> dict[int, int]:
    """In how many places each parameter stands, by its id."""
    counts: dict[int, int] = {}
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            counts[id(parameter)] = counts.get(id(parameter), 0) + 1
    return counts
