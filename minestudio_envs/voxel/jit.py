"""How the engine's functions are compiled.

``device_function``: a function of scalars and arrays that runs inside a kernel. ``inlined_function``: the same, always
inlined into its caller; for functions that take the whole State and are called from one place (passing its hundreds
of words on the stack would cost more than most of these functions do).

Both are compiled without numba's memory manager: nothing is allocated in a kernel, and counting references to every
array of the State in every call made the engine fifty times slower.
"""

import hashlib
from pathlib import Path

from numba import njit
from numba.core.options import DefaultOptions

OPTIONS = {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}
_INNER = {**OPTIONS, "no_cpython_wrapper": True}

device_function = njit(**_INNER)
inlined_function = njit(**_INNER, **({"forceinline": True} if hasattr(DefaultOptions, "forceinline") else {}))


def source_fingerprint(without=()) -> int:
    """A number that changes with the source of any engine module but those named.

    numba's disk cache looks only at the file a kernel is written in, not at the functions that it calls; a kernel
    that closes over this number is compiled anew when any of them changed.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.*")):
        if path.suffix in (".py", ".json") and path.stem not in without:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "little")
