"""A kernel and all functions that it calls are optimised once, together.

numba finishes every function on its own: at each level of calls it links in all that lies below, optimises that again
and makes machine code of it. For the hundreds of functions of one tick this takes many minutes, and what comes of it
is slower, for a function that others may call from elsewhere keeps its calling convention: the State's arrays are
passed on the stack, word by word.
"""

import gc
from contextlib import contextmanager

from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock


class _Later(JITCodeLibrary):
    """A library that is left as it is until a kernel links it in."""

    def finalize(self):
        self._finalized = True

    def _get_module_for_linking(self):
        """With its callees: for a caller that is no kernel."""
        if self._shared_module is None:
            self._shared_module = self._final_module.clone()
            _link(self._shared_module, self._linking_libraries)
            _make_weak(self._shared_module)
        return self._shared_module


class _Kernel(JITCodeLibrary):
    """The library of a kernel, which links in all that its functions call, and theirs."""

    def finalize(self):
        libraries, self._linking_libraries = self._linking_libraries, []
        _link(self._final_module, libraries)
        super().finalize()

    def _optimize_final_module(self):
        # Nobody else calls them: their arguments may be left out, and those that are called once are inlined.
        for function in _defined(self._final_module, Linkage.weak_odr):
            function.linkage = Linkage.internal
            function.name = f"kernel.{function.name}"  # else a later module's function is taken to be this one
        super()._optimize_final_module()


def _defined(module, linkage):
    return [function for function in module.functions if not function.is_declaration and function.linkage == linkage]


def _make_weak(module):
    """Not linkonce_odr, which is left out while nobody asks for it."""
    for function in _defined(module, Linkage.external):
        function.linkage = Linkage.weak_odr


def _link(module, libraries):
    """Add to ``module`` these libraries and those that they left for later."""
    waiting, seen, complete = list(libraries), set(), []
    while waiting:
        library = waiting.pop()
        if library in seen:
            continue
        seen.add(library)
        if not isinstance(library, _Later):
            complete.append(library)
            continue
        waiting += library._linking_libraries
        part = library._final_module.clone()
        _make_weak(part)
        module.link_in(part)
    for library in complete:  # last: of these is taken only what is asked for by then
        module.link_in(library._get_module_for_linking(), preserve=True)


@contextmanager
def whole_program(kernel):
    """Compile the dispatcher ``kernel`` in here."""
    codegen = kernel.targetctx.codegen()
    name = kernel.py_func.__qualname__

    def create_library(called, **options):
        kind = _Kernel if called == name else _Later
        return kind(codegen, called, **options)

    def set_env(name, env):
        if codegen._engine.get_global_value_address(name):  # else of a function that has no code of its own
            type(codegen).set_env(codegen, name, env)

    with global_compiler_lock:  # nothing else is compiled meanwhile
        codegen.create_library, codegen.set_env = create_library, set_env
        garbage = gc.get_threshold()
        gc.set_threshold(100_000, 50, 1000)  # millions of objects live as long as the compilation
        try:
            yield
        finally:
            gc.set_threshold(*garbage)
            del codegen.create_library, codegen.set_env
