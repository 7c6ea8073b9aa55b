"""Memory between the steps of a training on a processor."""

from __future__ import annotations

import ctypes
import sys

# Parameters of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT, _ADDED = 1 << 30, 1 << 29


def keep_memory() -> bool:
    """Let glibc keep what is freed, up to a gigabyte, instead of giving it back at each step.

    A step frees as much as the next one asks for. Blocks of some megabytes are returned to the
    system by default, which must clear every page of them anew.

    Returns:
        Whether there was a glibc that could be told; other allocators are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:
        return False
    wanted = {_MMAP_THRESHOLD: _KEPT, _TRIM_THRESHOLD: _KEPT, _TOP_PAD: _ADDED}
    return all(tell(name, value) == 1 for name, value in wanted.items())
