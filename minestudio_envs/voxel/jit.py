"""How the engine's functions are compiled.

Without numba's memory manager: nothing is allocated in a tick, and counting references to every array of the State
in every call made the engine fifty times slower.
"""

import hashlib
from functools import partial
from pathlib import Path

from numba import config, njit, types

OPTIONS = {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}
NARROW = dict.fromkeys((types.uint8, types.int8, types.uint16, types.int16, types.int32), types.int64)
DEVICE_FUNCTIONS = []  # all of them, for cuda.py


def device_function(function=None, *, nrt=False, forceinline=False):
    """A function that kernels call. One version of it serves all constants and small integers: they become int64.

    ``nrt``: with numba's memory manager, for one that makes arrays or hands them out. ``forceinline``: for one that
    is called often and that LLVM finds too large: a call passes the State's arrays on the stack, word by word.
    """
    if function is None:
        return partial(device_function, nrt=nrt, forceinline=forceinline)
    dispatcher = njit(**OPTIONS | {"_nrt": nrt}, no_cpython_wrapper=True, forceinline=forceinline)(function)
    if config.DISABLE_JIT:
        return dispatcher
    DEVICE_FUNCTIONS.append(dispatcher)
    resolve = dispatcher.get_call_template

    def get_call_template(args, kws):
        return resolve(tuple(map(general, args)), {name: general(kind) for name, kind in kws.items()})

    def refuse(*_, **__):
        raise TypeError(f"{function.__name__} can be called by kernels only; .py_func is the Python function")

    dispatcher.get_call_template = get_call_template
    dispatcher._insert = lambda *_, **__: None  # what Python could call: there is nothing, and it would call it
    dispatcher._compile_for_args = refuse
    return dispatcher


def python_function(function):
    """The Python function that a device function was made of; one that is not compiled is that itself."""
    return getattr(function, "py_func", function)


def general(kind):
    """The type that one version of a function serves in place of ``kind``."""
    kind = types.unliteral(kind)
    return NARROW.get(kind, kind)


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
