"""How the kernels of this package are compiled: once, for one set of argument types, kept on disk.

A kernel is plain Python that numba turns into machine code. It is compiled at its first call or by
:func:`precompile`, for the one signature written beside it; other argument types are an error instead of a second,
silent compilation. The machine code is kept in ``__pycache__`` beside the source. When that folder cannot be written,
numba keeps it in the user's cache folder, or in the folder that the environment variable ``NUMBA_CACHE_DIR`` names: for
a read-only installation point it at a folder that is writable at run time (numba skips a cache it cannot write to).
When no place is writable the kernels are compiled anew by each process, which takes seconds, and all else works.

With ``NUMBA_DISABLE_JIT=1`` the kernels run as ordinary Python, many times slower, so that a coverage tool can see
their lines.

A compiled caller keeps its callee's code, and numba does not notice when a callee in *another* file changes. So a
kernel calls only functions of its own file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

BYTES = "Array(uint8, 1, 'C', readonly=True)"
"""Bytes that a kernel reads, in numba's notation; writable arrays are accepted where this stands."""
WRITABLE_BYTES = "Array(uint8, 1, 'C')"
"""Bytes that a kernel fills."""
INDEX = "Array(int64, 2, 'C')"
"""Positions, one row for each thing found."""
NUMBERS = "Array(int64, 1, 'C')"
"""A column of positions or lengths."""

_registry: list[Kernel[..., object]] = []


class Kernel(Generic[P, R]):
    """A function that is compiled for one signature, at its first call.

    The compiled code runs without the interpreter's lock.
    """

    def __init__(self, function: Callable[P, R], signature: str) -> None:
        self._function = function
        self._signature = signature
        self._ready: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the kernel, compiling it first if that was not done."""
        ready = self._ready or self.compile()
        return ready(*args, **kwargs)

    def compile(self) -> Callable[P, R]:
        """Load the machine code from the cache or make it; afterwards a call costs microseconds."""
        # Two threads may come here at once: numba lets one wait, and what both make is the same.
        if self._ready is None:
            self._ready = self._machine_code()
        return self._ready

    def _machine_code(self) -> Callable[P, R]:
        try:
            compiled = numba.njit(self._signature, cache=True, nogil=True)(self._function)
        except RuntimeError as error:
            # The one RuntimeError of a decorator: no folder for the cache is writable.
            if "cannot cache" not in str(error):
                raise
            compiled = numba.njit(self._signature, nogil=True)(self._function)
        return cast("Callable[P, R]", compiled)


def kernel(signature: str) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """Make a function a kernel of this signature; see :class:`Kernel`."""

    def decorate(function: Callable[P, R]) -> Kernel[P, R]:
        made = Kernel(function, signature)
        _registry.append(cast("Kernel[..., object]", made))
        return made

    return decorate


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function part of each kernel of its own file that calls it; worth it where it is called for each byte."""
    return cast("Callable[P, R]", numba.njit(nogil=True, forceinline=True)(function))


def called(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function callable by the kernels of its own file."""
    return cast("Callable[P, R]", numba.njit(nogil=True)(function))


def precompile() -> None:
    """Compile every kernel, or load it from the cache: for image builds, and for a bridge before it listens."""
    for each in _registry:
        each.compile()
