from __future__ import annotations

import subprocess
import sys

import pytest

from molae.training.memory import keep_memory

FAULTS = """
import resource, sys
import torch
from molae.training.memory import keep_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_memory()
for step in range(12):
    if step == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    parts = [torch.ones(1 << 24) for _ in range(2)]  # 64 MB each: by default never kept
    del parts
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_used_again():
    if not keep_memory():
        pytest.skip("no glibc")
    assert faults("keep") < 0.5 * faults("leave")
