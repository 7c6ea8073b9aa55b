"""``Run``: codec, model and densities together, and the four verbs that people use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molae.chem.molecules import canonical as canonical_smiles
from molae.codecs import AnyCodec, codec_from_dict
from molae.densities import LatentDensity
from molae.draws import normals
from molae.grammar.cfg import GrammarError
from molae.models import Autoencoder
from molae.names import REFINE, pick
from molae.objectives import Objective
from molae.runs import folder as files
from molae.runs.condition import Condition, checked, contexts
from molae.runs.folder import RunError
from molae.runs.places import located
from molae.runs.preferred import drawable, preferred
from molae.runs.refine import refined
from molae.training.devices import device_named

#: What building from settings that were changed by hand may end in.
_UNBUILDABLE = (
    GrammarError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError
)  # fmt: skip
#: Texts encoded at once; results do not depend on it.
_ENCODED = 512
#: Steps from here on key the noise that is put on codes; choices of rules and draws of codes use
#: others, so that no random number is used twice.
_NOISE_STEP = 1 << 21


class Run:
    """A model that can be used: made by training, or loaded with ``Run.load`` (``molae.load``).

    Args:
        codec: Texts to sequences and back, and what is legal.
        model: The autoencoder.
        objective: What it is trained with.
        config: Everything it is built from, see ``build``.
        densities: Ex-post densities by name; the prior is always there.
        card: What is known of it: data, versions, metrics.
        folder: Where it was loaded from or saved to, or None.

    Attributes:
        device: Where the model computes.
    """

    def __init__(
        self,
        codec: AnyCodec,
        model: Autoencoder,
        objective: Objective,
        config: dict[str, Any],
        *,
        densities: dict[str, LatentDensity] | None = None,
        card: dict[str, Any] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.codec, self.model, self.objective = codec, model, objective
        self.config, self.card = config, card or {}
        self.densities = densities or {}
        self.folder = folder

    # Places ------------------------------------------------------------------------------------

    @classmethod
    def load(cls, name: str | Path | None = None, device: str = "auto") -> Run:
        """A saved run. No code in its folder is executed.

        Args:
            name: A run folder, the name of a shipped model, or None for the last run made here;
                where there is none, for the shipped model ``zinc``.
            device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto`` for the best there is.

        Raises:
            RunError: There is none, or it is unfinished, damaged, foreign or too new.
            ValueError: The device is not there.
        """
        place = device_named(device)
        with located(name) as folder:
            config = files.read_config(folder)
            card = files.read_card(folder)
            run = cls._built(config, folder)
            run.load_weights(files.read_tensors(folder / files.WEIGHTS))
            for known, fitted in run.densities.items():
                path = folder / "densities" / f"{known}.safetensors"
                fitted.load_state_dict(files.read_tensors(path))
        run.card, run.folder = card, folder
        return run.to(place)

    @classmethod
    def unfinished(cls, folder: Path) -> Run:
        """The run that an interrupted training in a folder was begun with, with fresh weights.

        Raises:
            RunError: The folder holds none.
        """
        return cls._built(files.read_config(folder), folder)

    @classmethod
    def _built(cls, config: dict[str, Any], folder: Path) -> Run:
        from molae.runs.build import build  # which makes objects of this class

        try:
            return build(config, codec_from_dict(config["codec"]))
        except _UNBUILDABLE as error:
            raise RunError(
                f"the run {folder} is damaged, or of another version of molae: {error}"
            ) from error

    def load_weights(self, tensors: dict[str, Tensor]) -> None:
        """Put the model's weights in place.

        Raises:
            RunError: They belong to another model.
        """
        try:
            self.model.load_state_dict(tensors)
        except RuntimeError as error:
            raise RunError(f"these weights are of another model: {error}") from error

    def save(self, folder: str | Path) -> Path:
        """Write the run into a folder, whole or not at all; a finished run there is replaced.

        Raises:
            RunError: The folder holds anything else, such as an unfinished training.
            OSError: It cannot be written, or the disc is full; what was there stays.
        """
        self.folder = files.replaced(self, Path(folder))
        return self.folder

    # What it is --------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """D, the number of dimensions of a code."""
        return int(self.config["model"]["latent_dim"])

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.model.parameters()).device

    @property
    def molecules(self) -> bool:
        """Whether the texts are SMILES; else they are some other language."""
        return self.codec.spelling != "text"

    @property
    def properties(self) -> list[str]:
        """Names of the properties that are predicted from codes; none for most runs."""
        return list(self.config.get("properties", {}).get("names", []))

    @property
    def condition(self) -> Condition | None:
        """What it is told beside codes; None for most runs."""
        return Condition.of(self.config)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise that is put on drawn codes unless another is asked for.

        The decoder is told of it, so that it writes what is usual around a code where no density
        could say exactly which codes are in use. 0 for a decoder that cannot be told.
        """
        return float(self.config.get("generation", {}).get("noise", 0.0))

    @property
    def noise_range(self) -> list[float]:
        """Lowest and highest noise that the decoder was trained with and can be told of, or []."""
        return list(self.config["model"]["decoder"].get("noise") or [])

    def to(self, device: torch.device | str) -> Run:
        """The run itself, its model moved to a device; densities stay on the CPU."""
        self.model.to(device)
        return self

    def density(self, name: str | None = None) -> LatentDensity:
        """A density by name; by default the best that is there, see ``molae.runs.preferred``.

        Raises:
            ValueError: This run has none of that name.
        """
        there = drawable(self.densities, self.model.prior)
        name = preferred(self.config, there) if name is None else name
        return there[pick(there, name, "density of this run")]

    # Verbs -------------------------------------------------------------------------------------

    def encode(self, items: Sequence[str], refine: int = REFINE) -> Tensor:
        """The code of each text.

        Args:
            items: n SMILES, or whatever the codec reads: texts of a grammar, images as data URIs.
            refine: Steps that a code is corrected in at most, where the decoder does not give the
                text back, see ``molae.runs.refine``; 0 takes the encoder's word.

        Returns:
            (n, D) float32 on the CPU.

        Raises:
            EncodeError: Some cannot be encoded; the error lists them with their reasons.
        """
        if not len(items):
            return torch.zeros(0, self.size)
        return self.codes(self.codec.encode(items), refine)

    @torch.no_grad()
    def codes(self, x: Tensor, refine: int = 0, context: Tensor | None = None) -> Tensor:
        """The code of each sequence (n, T) or image (n, C, H, W): (n, D) float32 on the CPU.

        With ``refine``, corrected in so many steps at most where x does not come back, which
        there is no need for with images. A run with a ``condition`` needs the context of each,
        (n, ...).

        Raises:
            ValueError: The run is told of a context and there is none, or the other way round.
        """
        context = checked(self.condition, context, len(x))
        self.model.eval()
        z = torch.zeros(len(x), self.size)
        for rows, together in self.codec.groups(x, _ENCODED):
            told = None if context is None else context[rows].to(self.device)
            z[rows] = self.model.encode(together.to(self.device), told).float().cpu()
        return self.corrected(x, z, refine)[0] if refine and context is None else z

    @torch.no_grad()
    def corrected(self, x: Tensor, z: Tensor, steps: int = REFINE) -> tuple[Tensor, Tensor]:
        """Codes of sequences or images, corrected where these do not come back.

        Args:
            x: What was encoded, (n, T) or (n, C, H, W).
            z: Its codes, (n, D) float32 on the CPU.
            steps: That a code is corrected in at most.

        Returns:
            Codes, (n, D) float32, and after how many steps each gave x back, (n,) int64: 0 where
            it did as it was, ``steps + 1`` where it does not. See ``molae.runs.refine``.
        """
        self.model.eval()
        better, taken = z.clone(), torch.zeros(len(x), dtype=torch.int64)
        for rows, together in self.codec.groups(x, _ENCODED):
            part, code = together.to(self.device), z[rows].to(self.device)
            code, after = refined(self.model, part, code, steps)
            better[rows], taken[rows] = code.cpu(), after.cpu()
        return better, taken

    def decode(
        self,
        z: Tensor,
        *,
        seed: int | None = None,
        temperature: float | None = None,
        index: Tensor | None = None,
        noise: float = 0.0,
        context: Tensor | None = None,
        canonical: bool = True,
    ) -> list[str | None]:
        """The text of each code.

        Args:
            z: Codes, (n, D).
            seed: Of draws from p(x|z). Where neither this nor a temperature is given, the most
                likely rule is taken at every step (but ``pixelcnn`` draws, with seed 0: its
                likeliest image is a blank one); a temperature alone draws with seed 0.
            temperature: Of the draws, 1 by default; 0 takes the most likely rule at every step.
            index: Numbers of the codes, (n,) int64, which key the draws; 0, 1, 2, ... by default.
            noise: Standard deviation of the noise that the codes carry, which the decoder is told.
            context: Of each code, (n, ...), for a run with a ``condition``.
            canonical: Molecules as canonical isomeric SMILES; False gives exactly the terminals
                of the derivation.

        Returns:
            n texts. None only where the grammar makes no promise that it is a molecule.

        Raises:
            ValueError: z is not (n, D), the temperature is below 0, there is noise and the
                decoder cannot be told, or a context is missing or not expected.
        """
        seed, warmth = _drawn(seed, temperature)
        z = self._checked(z)
        index = torch.arange(len(z)) if index is None else index
        drawn = self.drawn(z, index, noise, seed, warmth, context)
        texts = [text for x in drawn for text in self.codec.decode(x)]
        return self.spelling(texts) if canonical else texts

    def drawn(
        self,
        z: Tensor,
        index: Tensor,
        noise: float,
        seed: int | None = None,
        warmth: float = 1.0,
        context: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """What ``decode`` makes texts of: sequences (m, T) or images (m, C, H, W), some a time."""
        if seed is None and warmth and getattr(self.model.decoder, "draws", False):
            seed = 0
        z, told = self._checked(z), self._told(noise)
        told = None if told is None else told.expand(len(z), 1)
        context = checked(self.condition, context, len(z))
        told = told if context is None else context
        self.model.eval()
        for rows in torch.split(torch.arange(len(z)), self.codec.at_once):
            yield self.model.decode(
                z[rows].to(self.device, torch.float32),
                None if told is None else told[rows].to(self.device),
                seed=seed,
                index=index[rows].to(self.device),
                temperature=warmth or 1.0,
            )

    def spelling(self, texts: Sequence[str | None]) -> list[str | None]:
        """Molecules as canonical isomeric SMILES, None where RDKit refuses; others as they are."""
        if not self.molecules:
            return list(texts)
        return [None if text is None else canonical_smiles(text) for text in texts]

    def sample(
        self,
        n: int,
        seed: int = 0,
        *,
        density: str | None = None,
        temperature: float | None = None,
        noise: float | None = None,
        context: Tensor | None = None,
        start: int = 0,
        canonical: bool = True,
    ) -> list[str | None]:
        """n new texts. The i-th depends on the seed and on i only, not on n.

        Args:
            n: How many.
            seed: Of codes and draws.
            density: What codes are drawn from; see ``density``.
            temperature: Of draws from p(x|z); None or 0 takes the most likely rule at every
                step, so that all the chance is in the code.
            noise: Put on drawn codes, see ``noise`` of the run, which is the default.
            context: Of a run with a ``condition``: contexts (m, ...), taken in turn; by default
                labels that are drawn as often as they are in the training data.
            start: Number of the first.
            canonical: As for ``decode``.

        Raises:
            ValueError: This run has no such density, or n or the temperature is negative.
        """
        if n < 0:
            raise ValueError(f"n is {n}; expected 0 or more")
        index = torch.arange(start, start + n)
        noise = self.noise if noise is None else noise
        told = contexts(self.condition, context, seed, index)
        source = self.given(self.density(density), told)
        return self.decode(
            self.blurred(source.sample_rows(seed, index).cpu(), noise, seed, index),
            seed=None if temperature is None else seed,
            temperature=temperature,
            index=index,
            noise=noise,
            context=told,
            canonical=canonical,
        )

    @torch.no_grad()
    def given(self, density: LatentDensity, context: Tensor | None) -> LatentDensity:
        """What codes are drawn from, for contexts (n, ...): another one only for some priors."""
        if context is None or density is not self.model.prior:
            return density
        return self.model.eval().prior_of(context.to(self.device))

    def blurred(self, z: Tensor, noise: float, seed: int, index: Tensor) -> Tensor:
        """Codes (n, D) with normal noise of that standard deviation, keyed by seed and index."""
        if not noise:
            return z
        return z + noise * normals(seed, index, self.size, _NOISE_STEP).to(z)

    @torch.no_grad()
    def predict(self, z: Tensor) -> Tensor:
        """The properties that were learnt with the codes, of codes that need no molecule.

        Args:
            z: Codes, (n, D).

        Returns:
            (n, P) float32 on the CPU, in the units of the properties, in the order of
            ``properties``.

        Raises:
            ValueError: The run predicts none, or z is not (n, D).
        """
        if not self.properties:
            raise ValueError(
                "this run predicts no properties; molae train --property makes one that does"
            )
        z = self._checked(z)
        self.model.eval()
        table = self.config["properties"]
        mean, std = (torch.tensor(table[name], dtype=torch.float64) for name in ("mean", "std"))
        parts = [
            self.model.predict(part.to(self.device, torch.float32)).cpu()
            for part in torch.split(z, self.codec.at_once)
        ]
        return (torch.cat(parts) * std + mean).float()

    def _told(self, noise: float) -> Tensor | None:
        """What the decoder is told of the noise, (1, 1); None where codes are exact."""
        if not 0 <= noise < float("inf"):
            raise ValueError(f"noise is {noise}; expected a number from 0 up")
        if not noise:
            return None
        if not self.noise_range:
            raise ValueError(
                f"noise is {noise:g}, and the decoder of this run cannot be told of any: leave it "
                "out, or train with a range of noise, such as --noise 0.1:2"
            )
        return torch.full((1, 1), noise, device=self.device)

    def _checked(self, z: Tensor) -> Tensor:
        z = torch.as_tensor(z)
        if z.ndim != 2 or z.shape[1] != self.size:
            raise ValueError(f"codes have shape {tuple(z.shape)}; expected (n, {self.size})")
        return z

    def log_density(self, z: Tensor, density: str | None = None) -> Tensor:
        """How plausible codes are: z (..., D) -> (...) in nats.

        Raises:
            ValueError: This run has no such density.
        """
        with torch.set_grad_enabled(z.requires_grad and torch.is_grad_enabled()):
            return self.density(density).log_prob(z.cpu())


def _drawn(seed: int | None, temperature: float | None) -> tuple[int | None, float]:
    """Seed and temperature of draws; no seed where the most likely rule is taken, 0 if asked."""
    if temperature is not None and not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}; expected a number from 0 up")
    if temperature is None:
        return seed, 1.0
    return (0 if seed is None else seed) if temperature else None, temperature
