"""The rows of the table of objectives: what is asked of ``molae.train`` for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from molae.nn.draw import code_unit

#: Steps of ConvDRAW: with small nets more of them cost more than they bring.
STEPS = 4


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A row of the table. What is not said here is the default of ``molae train``.

    Attributes:
        title: What it is called there.
        settings: Arguments of ``molae.train`` on any data.
        images: Such that are for images only, ``options`` beside those of ``settings``.
        own: The density that this model is meant to draw from: p(z), for all but a codebook.
        heavy: It decodes so many codes of each example that on molecules, where a decoder goes
            step by step, it is for a GPU.
    """

    title: str
    settings: Mapping[str, Any] = field(repr=False)
    images: Mapping[str, Any] = field(default_factory=dict, repr=False)
    own: str = "prior"
    heavy: bool = False

    def on_images(self, shape: tuple[int, int, int], geco: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments for black and white images (C, H, W).

        Args:
            shape: Of an image.
            geco: Options of GECO, which depend on data and budget.
        """
        found = {**self.settings, **self.images, "likelihood": "bernoulli"}
        found["options"] = self._options() | dict(self.images.get("options", {}))
        if found["objective"] in ("vae", "cvvae"):
            found["beta"] = 1.0  # the bound itself
        if found["objective"] == "geco":
            found["options"] |= geco
        if found.get("decoder") == "convdraw":
            found["latent_dim"] = code_unit(shape, STEPS)
        return found

    def on_sequences(self) -> dict[str, Any]:
        """Arguments for molecules: what is for images only is left to be refused by name."""
        named = {name: self.images[name] for name in ("decoder",) if name in self.images}
        return {**self.settings, **named, "options": self._options()}

    def _options(self) -> dict[str, Any]:
        return dict(self.settings.get("options", {}))


def _row(title: str, objective: str, *, own: str = "prior", **settings: Any) -> Variant:
    return Variant(title=title, settings={"objective": objective, **settings}, own=own)


def _iwae(samples: int, *, heavy: bool, doubly: bool = False) -> Variant:
    options = {"samples": samples, **({"doubly": True} if doubly else {})}
    title = f"IWAE, K = {samples}" + (", doubly" if doubly else "")
    return Variant(title=title, settings={"objective": "iwae", "options": options}, heavy=heavy)


def _pixels(title: str, **more: float) -> Variant:
    # Small, so that it sees little of what was before, and needs the code; tiles are for speed.
    net = {"decoder.layers": 1, "decoder.channels": 16, "decoder.tile": 512}
    return Variant(
        title=title,
        settings={"objective": "vae"},
        images={"decoder": "pixelcnn", "options": net | more},
    )


#: The rows by the name that is typed, in their order.
MODELS: dict[str, Variant] = {
    "vae": _row("VAE", "vae"),
    "vae-nvp": _row("VAE, head nvp", "vae", head="nvp"),
    "vae-iaf": _row("VAE, head iaf", "vae", head="iaf"),
    "vae-vamp": _row("VAE, prior vamp", "vae", prior="vamp"),
    "vae-flow": _row("VAE, prior flow", "vae", prior="flow"),
    "vae-autoregressive": _row("VAE, prior autoregressive", "vae", prior="autoregressive"),
    "iwae-5": _iwae(5, heavy=False),
    "iwae-50": _iwae(50, heavy=True),
    "iwae-50-doubly": _iwae(50, heavy=True, doubly=True),
    "pixelvae": _pixels("PixelVAE"),
    "pixelvae-bits": _pixels("PixelVAE, 8 free bits", free_bits=8.0),
    "convdraw": Variant(
        title=f"ConvDRAW, {STEPS} steps",
        settings={"objective": "vae"},
        images={
            "decoder": "convdraw",
            "options": {"decoder.steps": STEPS, "decoder.kernel": 3},
        },
    ),
    "geco": _row("GECO", "geco"),
    "cvvae": _row("CV-VAE", "cvvae"),
    "aae": _row("AAE", "aae"),
    "iae": _row("IAE", "iae"),
    "avb": _row("AVB", "avb"),
    "ali": _row("ALI", "ali"),
    "wae": _row("WAE", "wae"),
    "vqvae": _row("VQ-VAE", "vqvae", own="indices"),
    "rae": _row("RAE", "rae"),
    "ae": _row("AE", "ae"),
    "dae": _row("DAE", "dae"),
    "cae": _row("CAE", "cae"),
    "vcae": _row("VC-AE", "vcae"),
    "strkm": _row("St-RKM", "strkm"),
}
