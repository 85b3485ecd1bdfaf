"""Compile many small functions as one program: numba's own way is to optimise each again in each caller.

numba turns every function into a library of its own, optimised and made machine code, and links it into the libraries
of its callers, where it is optimised again. For an engine of a hundred small functions that takes most of the time of
compiling, and the optimiser never sees that nobody else calls them. Here the functions within are only linked, and the
whole is optimised once, with all of them internal to it.

This reaches into numba (`numba.core.codegen`), whose versions pyproject.toml therefore bounds; a test compiles a small
program this way.
"""

# mypy: disable-error-code="no-untyped-call, misc, import-untyped"

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

# LLVM's measure of how large a function may be to be put in place of its call. Where most calls are of functions that
# are called from few places, its usual 250 leaves half of them; a higher one makes the engine a sixth faster.
INLINE_THRESHOLD, USUAL_THRESHOLD = 1000, 250


@contextmanager
def compiled_as_one(entry: str, parts: Collection[str], announce: Callable[[], object]) -> Iterator[None]:
    """While this lasts, numba makes functions named as in `parts` part of the one named `entry`, which comes last.

    `announce` is called if anything is compiled at all, and not found in numba's cache.
    """
    from numba.core.registry import cpu_target

    codegen = cpu_target.target_context.codegen()
    codegen._library_class = _Libraries(entry, parts, announce)
    try:
        yield
    finally:
        del codegen._library_class


class _Libraries:
    """Stands where numba expects the class of its libraries."""

    def __init__(self, entry: str, parts: Collection[str], announce: Callable[[], object]) -> None:
        self._entry, self._parts, self._announce = entry, parts, announce
        self._announced = False
        self._whole, self._part = _libraries()

    def __call__(self, codegen: Any, name: str, **options: Any) -> Any:
        if name == self._entry:
            return self._whole(codegen, name, **options)
        if name not in self._parts:  # numba's own, which others may link too
            return type(codegen)._library_class(codegen, name, **options)
        if not self._announced:
            self._announced = True
            self._announce()
        return self._part(codegen, name, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)  # what is found in the cache is whole already


def _libraries() -> tuple[Any, Any]:
    from numba.core.codegen import JITCodeLibrary

    class Part(JITCodeLibrary):
        """A function that is only linked into its callers."""

        def finalize(self) -> None:
            for library in dict.fromkeys(self._linking_libraries):
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            self._ensure_finalized()
            return 0

        @property
        def codegen(self) -> Any:
            return _NoEnvironment()

    class Whole(JITCodeLibrary):
        """The function that holds all the others."""

        def _optimize_final_module(self) -> None:
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage.name == "linkonce_odr":
                    function.linkage = "internal"
            _set_inline_threshold(INLINE_THRESHOLD)
            try:
                super()._optimize_final_module()
            finally:
                _set_inline_threshold(USUAL_THRESHOLD)

    return Whole, Part


def _set_inline_threshold(size: int) -> None:
    from llvmlite import binding

    binding.set_option("breakerlab", f"-inline-threshold={size}")


class _NoEnvironment:
    """A part is never called from Python, so it needs none of what such a call would find."""

    def set_env(self, name: str, environment: Any) -> None:
        pass
