"""Train the small classifier whose features distances between sets of pictures are measured in.

    python -m benchmarks.features --data mnist.npz --output data/features/mnist
    python -m benchmarks.features --data mnist.npz --output other --seed 1

It learns on the first 50,000 training images of MNIST. The other 10,000, which it has not seen,
beside the 10,000 test images give the floor: what the Frechet distance is where both sets are
real. Then comes a ladder: the same 10,000 with blur, noise, or without a class, which must lie
above it, the more the worse.

Half of the batches are shown as 28 x 28 pixels, the other half with a frame of two pixels (32 x
32, as autoencoders for MNIST often have it) and scaled back, so that both can be judged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch.nn import functional

from benchmarks.record import machine
from molae.metrics.frechet import Moments, frechet_distance
from molae.nn.classifier import CARD, WEIGHTS, ImageClassifier

#: Images that are learnt from; the rest of the training images is kept apart.
LEARNT = 50_000
#: Frame around an image of 28 x 28 that makes it 32 x 32.
FRAME = 2
RATE, BATCH = 2e-3, 128

Pixels = NDArray[np.uint8]


def framed(pixels: Pixels) -> Pixels:
    """Images (n, 28, 28, 1) with a black frame, (n, 32, 32, 1)."""
    return np.pad(pixels, ((0, 0), (FRAME, FRAME), (FRAME, FRAME), (0, 0)))


def learn(pixels: Pixels, labels: NDArray[np.int64], epochs: int, seed: int) -> ImageClassifier:
    """A classifier of images (n, 28, 28, 1): Adam, one cycle of the learning rate."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = ImageClassifier([str(digit) for digit in range(10)])
    steps = epochs * (len(pixels) // BATCH)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for epoch in range(epochs):
        order, total = rng.permutation(len(pixels)), 0.0
        for step in range(len(pixels) // BATCH):
            rows = order[step * BATCH : (step + 1) * BATCH]
            shown = framed(pixels[rows]) if rng.random() < 0.5 else pixels[rows]
            _, logits = net(net.prepared(shown))
            loss = functional.cross_entropy(logits, torch.from_numpy(labels[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / (step + 1):.4f}", flush=True)
    return net.eval()


def stored(net: ImageClassifier) -> bytes:
    """Weights as they are kept: matrices as 16-bit numbers, vectors as they are."""
    return save(
        {
            name: (value.half() if value.ndim > 1 else value).contiguous()
            for name, value in net.state_dict().items()
        }
    )


def accuracy(net: ImageClassifier, pixels: Pixels, labels: NDArray[np.int64]) -> float:
    """Share of images whose likeliest class is theirs."""
    return float((net.probabilities(pixels).argmax(1) == labels).mean())


def corrupted(pixels: Pixels, labels: NDArray[np.int64], seed: int) -> dict[str, Pixels]:
    """The rungs of the ladder: images that are worse and worse in a known way."""
    x = torch.from_numpy(pixels).float().permute(0, 3, 1, 2)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))

    def back(changed: torch.Tensor) -> Pixels:
        return changed.clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()

    return {
        "blur 3x3": back(functional.avg_pool2d(x, 3, 1, 1)),
        "blur 5x5": back(functional.avg_pool2d(x, 5, 1, 2)),
        "noise sd 0.1": back(x + 0.1 * 255 * noise),
        "noise sd 0.3": back(x + 0.3 * 255 * noise),
        "no ones": pixels[labels != 1],
        "no digit above 4": pixels[labels < 5],
    }


def judge(net: ImageClassifier, data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Accuracy, floor and ladder."""
    apart, test = data["train"][LEARNT:], data["test"]
    labels = data["train_labels"][LEARNT:]
    real = Moments.of(net.features(test))

    def distance(pixels: Pixels, other: Moments = real) -> float:
        return round(frechet_distance(Moments.of(net.features(pixels)), other), 4)

    half = len(test) // 2
    return {
        "accuracy": {
            "test, 28 x 28": accuracy(net, test, data["test_labels"]),
            "test, 32 x 32": accuracy(net, framed(test), data["test_labels"]),
            "learnt from": accuracy(net, data["train"][:LEARNT], data["train_labels"][:LEARNT]),
        },
        "floor": {
            "10,000 training images not learnt from, and the 10,000 test images": distance(apart),
            "the same, 32 x 32": round(
                frechet_distance(
                    *(Moments.of(net.features(framed(pixels))) for pixels in (apart, test))
                ),
                4,
            ),
            "10,000 learnt from, and the test images": distance(data["train"][:10_000]),
            "the halves of the test images": distance(
                test[:half], Moments.of(net.features(test[half:]))
            ),
            "halves of the test images, shuffled": _shuffled_halves(net, test, seed),
        },
        "ladder": {name: distance(p) for name, p in corrupted(apart, labels, seed).items()},
    }


def _shuffled_halves(net: ImageClassifier, test: Pixels, seed: int) -> float:
    rows = np.random.default_rng(seed).permutation(len(test))
    first, second = (Moments.of(net.features(test[part])) for part in np.array_split(rows, 2))
    return round(frechet_distance(first, second), 4)


def read(path: Path) -> dict[str, Any]:
    """MNIST with its arrays ``train_images``, ``train_labels``, ``test_images``, ..."""
    with np.load(path, allow_pickle=False) as file:
        data: dict[str, Any] = {
            name: file[f"{name}_images"][..., None] for name in ("train", "test")
        }
        return data | {f"{n}_labels": file[f"{n}_labels"].astype(np.int64) for n in list(data)}


def write(net: ImageClassifier, weights: bytes, options: argparse.Namespace, took: float) -> None:
    """The folder that ``ImageClassifier.load`` reads."""
    data = read(options.data)
    options.output.mkdir(parents=True, exist_ok=True)
    place = options.output / WEIGHTS
    place.write_bytes(weights)
    words = [Path(word).name if os.sep in word else word for word in sys.orig_argv]
    here = machine()
    card = {
        "about": "A small classifier of handwritten digits (MNIST), for features of grey images.",
        "settings": net.settings(),
        "digest": hashlib.sha256(weights).hexdigest(),
        "stored": "fp16",
    }
    place.with_name(CARD).write_text(json.dumps(card), "utf-8")
    kept = ImageClassifier.load(options.output)  # judged as it is stored
    card |= judge(kept, data, options.seed) | {
        "recipe": {
            "command": shlex.join(words),
            "seed": options.seed,
            "epochs": options.epochs,
            "learnt": f"the first {LEARNT:,} training images of MNIST",
            "data": {options.data.name: hashlib.sha256(options.data.read_bytes()).hexdigest()},
            "machine": f"{here['processor']}, {here['cores']} cores",
            "versions": here["versions"],
            "seconds": round(took),
        }
    }
    place.with_name(CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    print(json.dumps({name: card[name] for name in ("accuracy", "floor", "ladder")}, indent=1))


def main() -> None:
    """Train, judge, write."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--data", type=Path, required=True, help="MNIST as .npz")
    made.add_argument("--output", type=Path, required=True, help="a folder")
    made.add_argument("--epochs", type=int, default=3)
    made.add_argument("--seed", type=int, default=0)
    options = made.parse_args()
    torch.set_num_threads(1)  # sums in one order: the same weights every time
    data = read(options.data)
    began = time.perf_counter()
    net = learn(
        data["train"][:LEARNT], data["train_labels"][:LEARNT], options.epochs, options.seed
    )
    write(net, stored(net), options, time.perf_counter() - began)


if __name__ == "__main__":
    main()
