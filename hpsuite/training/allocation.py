"""Keeping memory that was freed for the next step, in place of giving it back to the system.

A step frees what it allocated. By default glibc gives free memory at the end of its heap back to
the system, and takes it again in the next step, a page fault for each 4 KiB: or not, by what else
lies in the heap. Values stay the same; only time changes.
"""

import ctypes
import sys

# Of glibc's malloc.h; see mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
# Bytes at the end of the heap that are given back, and bytes that are taken at a time.
_KEPT, _TAKEN = 1 << 30, 16 << 20
# Allocations of this size are mapped by themselves, and given back when freed: the largest that
# glibc takes on 64-bit systems.
_MAPPED = 32 << 20


def keep_memory() -> bool:
    """Let this process keep what it frees; returns whether it does, as only glibc can be told."""
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    options = (
        (_M_MMAP_THRESHOLD, _MAPPED),
        (_M_TRIM_THRESHOLD, _KEPT),
        (_M_TOP_PAD, _TAKEN),
    )
    return all(mallopt(option, value) == 1 for option, value in options)
