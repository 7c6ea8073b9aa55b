from __future__ import annotations

import pytest
import torch

from molae.nn.heads import ConstantNormalHead, DeltaHead, NormalHead, PropertyHead

HEADS = {"delta": DeltaHead, "normal": NormalHead, "constant": ConstantNormalHead}


@pytest.mark.parametrize("name", HEADS)
def test_shapes_and_float32_under_autocast(name):
    head, h = HEADS[name](6, 4), torch.randn(5, 6)
    exact = head(h)
    assert exact.center.shape == (5, 4)
    assert exact.rsample((2, 3)).shape == (2, 3, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(h).center, exact.center)
        assert head(h.bfloat16()).center.dtype == torch.float32


def test_a_point_is_its_own_draw():
    posterior = DeltaHead(6, 4)(torch.randn(5, 6))
    assert torch.equal(posterior.rsample(), posterior.center)


def test_variances_are_bounded_smoothly():
    head = NormalHead(6, 4, bound=3.0)
    h = (torch.randn(5, 6) * 50).requires_grad_()
    scale = head(h).scale
    assert (scale.log().abs() <= 1.5).all()
    for size, expected in ((1e6, 1.5), (-1e6, -1.5)):
        with torch.no_grad():
            head.log_variance.weight.zero_()
            head.log_variance.bias.fill_(size)
        torch.testing.assert_close(head(h).scale.log(), torch.full((5, 4), expected))
    head.log_variance.bias.data.fill_(0.01)
    torch.testing.assert_close(head(h).scale.log(), torch.full((5, 4), 0.005))
    head(h).scale.sum().backward()
    assert (head.log_variance.bias.grad > 0).all()


def test_the_constant_scale():
    posterior = ConstantNormalHead(6, 4, scale=0.3)(torch.randn(5, 6))
    assert torch.equal(posterior.scale, torch.full((5, 4), 0.3))
    with pytest.raises(ValueError, match="DeltaHead"):
        ConstantNormalHead(6, 4, scale=0.0)


def test_properties_of_codes():
    head, z = PropertyHead(4, 3, hidden=5), torch.randn(2, 6, 4)
    exact = head(z)
    assert exact.shape == (2, 6, 3)
    hidden = z @ head.hidden.weight.T + head.hidden.bias
    by_hand = (hidden * hidden.sigmoid()) @ head.out.weight.T + head.out.bias
    torch.testing.assert_close(exact, by_hand)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(z), exact)
