"""What a device must do as the processor does: the same masks, the same draws, legal strings.

    python -m benchmarks.gpu.check --device cuda --output check.json

Random logits drive the grammar machine on both; every mask and every chosen rule is compared.
Then an untrained decoder writes strings on the device, and RDKit reads them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from molae.chem.molecules import canonical
from molae.codecs import GrammarCodec
from molae.nn.sequence import AutoregressiveDecoder
from molae.workflows.data import named_grammar


def synchronise(device: str) -> None:
    """Wait for what the device still does."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def walk(codec: GrammarCodec, device: str, rows: int, seed: int) -> dict[str, Any]:
    """The machine on the processor and on the device, step by step under the same logits."""
    here, there = codec.constraint, codec.constraint
    states = here.start(rows), there.start(rows, device)
    index = torch.arange(rows)
    source = torch.Generator().manual_seed(seed)
    masks = rules = steps = 0
    while steps < codec.max_steps and not bool(here.finished(states[0]).all()):
        logits = torch.randn(rows, codec.size, generator=source)
        step = torch.full((rows,), steps)
        masks += int((here.allowed(states[0]) != there.allowed(states[1]).cpu()).any(1).sum())
        first = here.choose(states[0], logits, seed=seed, index=index, step=step)
        second = there.choose(
            states[1], logits.to(device), seed=seed, index=index.to(device), step=step.to(device)
        )
        rules += int((first != second.cpu()).sum())
        # Both go on with the same rules, so that one difference is counted once.
        states = here.advance(states[0], first), there.advance(states[1], first.to(device))
        steps += 1
    return {"rows": rows, "steps": steps, "masks_that_differ": masks, "rules_that_differ": rules}


def strings(codec: GrammarCodec, device: str, count: int, seed: int) -> dict[str, Any]:
    """Strings of an untrained decoder: how many RDKit reads, and how fast they came."""
    torch.manual_seed(seed)
    decoder = AutoregressiveDecoder(codec.size, 56, codec.constraint, tile=4096).to(device).eval()
    z = torch.randn(count, 56, device=device)
    decoder(z[:64]).sample(seed)
    synchronise(device)
    start = time.perf_counter()
    x = decoder(z).sample(seed)
    synchronise(device)
    seconds = time.perf_counter() - start
    texts = codec.decode(x.cpu())
    invalid = sum(text is None or canonical(text) is None for text in texts)
    return {"strings": count, "invalid": invalid, "strings_per_second": round(count / seconds)}


def main() -> None:
    """Check, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    codec = GrammarCodec(named_grammar("smiles"), max_steps=80)
    found = {
        "device": options.device,
        "machine": walk(codec, options.device, options.rows, options.seed),
        "strings": strings(codec, options.device, options.rows, options.seed),
    }
    options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found))
    if found["machine"]["masks_that_differ"] or found["strings"]["invalid"]:
        raise SystemExit(f"{options.device} does not do as the processor does: {found}")


if __name__ == "__main__":
    main()
