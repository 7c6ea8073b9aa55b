"""A script for several processes: trains without noise, the main process writes the weights."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("toy.py"))
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)


class Quiet(toy.Game):
    """No noise, so that the number of processes is all that differs; the buffer is an average."""

    def judge(self, model, batch, step):
        h = model.features(batch.x)
        real, fake = self.critic(torch.ones_like(h))[:, 0], self.critic(h)[:, 0]
        return toy.Terms({"real": (real - 1).square(), "fake": fake.square()})

    def balance(self, model, batch, step):
        error = (model.predict(batch.x) - batch.y).square()
        weight = torch.ones_like(error) if batch.weight is None else batch.weight
        self.average.lerp_(((weight * error).sum() / weight.sum()).detach(), 0.1)
        return toy.Terms({"balance": self.log_weight * (0.5 - self.average)})


def main(out: str) -> None:
    torch.set_num_threads(1)
    for weighted in (False, True):
        check(Path(out) / ("weighted" if weighted else "plain"), weighted)


def check(folder: Path, weighted: bool) -> None:
    # Different weights in each process: the main one's must win.
    torch.manual_seed(int(os.environ.get("RANK", "0")))
    model, objective = toy.Net(dropout=0.0, norm=False), Quiet()
    objective.noise = 0.0
    options = {
        # 43 rows in batches of at most 7: slices of 4 and 3, and of 3 and 3
        "batch_size": 7, "validation": toy.Rows(11, seed=1, weighted=weighted),
        "validate_every": 5, "log_every": 3, "folder": folder,
    }  # fmt: skip
    data = toy.Rows(43, weighted=weighted)
    toy.train(model, objective, data, epochs=2, **options)
    result = toy.train(model, objective, data, epochs=4, resume=True, **options)
    # One example for two processes: one of them has nothing to do.
    toy.train(model, objective, toy.Rows(3), steps=3, batch_size=1)
    if os.environ.get("RANK", "0") == "0":
        tensors = {f"o.{k}": v for k, v in objective.state_dict().items()} | model.state_dict()
        save_file(tensors, folder / "out.safetensors")
        records = [{k: r[k] for k in ("kind", "step", "loss", "parts")} for r in result.history]
        (folder / "out.json").write_text(json.dumps(records))


if __name__ == "__main__":
    main(*sys.argv[1:])
