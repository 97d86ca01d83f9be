"""Compiles kernels: once, for one set of argument types, and keeps the machine code on disk.

A kernel is plain Python that numba turns into machine code, at its first call or in :func:`precompile`. Other argument
types are an error, not another silent compilation. The machine code is kept on disk, since a process that compiles
spends seconds of its processor, and one that loads a tenth of one. numba looks in this order:

==========================================  =========================================================================
``__pycache__`` beside the source           if it holds code for this source, this numba and this processor. An image
                                            build puts it there; nothing needs to be writable
the folder named by ``NUMBA_CACHE_DIR``     if that is set
the user's cache folder                     ``~/.cache/numba``, or below ``XDG_CACHE_HOME``
nowhere                                     if none of these can be written: each process compiles again, all else works
==========================================  =========================================================================

So an installed package is never written to. An image build sets ``NUMBA_CACHE_LOCATOR_CLASSES=InTreeCacheLocator`` to
put the code beside the source; one that is to run on other processors also sets ``NUMBA_CPU_NAME=generic``, here and
at run time. Code is matched to its source by a hash of the text, not by the file's time.

With ``NUMBA_DISABLE_JIT=1`` the kernels run as ordinary Python, many times slower, so that a coverage tool can see
their lines. A compiled caller keeps its callee's code, and numba does not notice when a callee in *another* file
changes. So a kernel calls only functions of the file it is in.
"""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar, cast

import numba
from numba.core import config
from numba.core.caching import InTreeCacheLocator
from numba.core.registry import cpu_target

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

BYTES = "Array(uint8, 1, 'C', readonly=True)"
"""Bytes that a kernel reads, in numba's notation; writable arrays are accepted where this stands."""
OFFSETS = "Array(int32, 1, 'C', readonly=True)"
"""Where each line starts, as Arrow has it."""
TIMES = "Array(int64, 1, 'C', readonly=True)"
"""A column of times."""
WRITABLE_BYTES = "Array(uint8, 1, 'C')"
"""Bytes that a kernel fills."""
SLOTS = "Array(int32, 1, 'C')"
"""Row numbers where hashes lead."""
TABLE = "Array(int64, 2, 'C')"
"""Rows of numbers."""
NUMBERS = "Array(int64, 1, 'C')"
"""A column of numbers."""

_LOCATORS = (f"{__name__}.ReadOnlyLocator", "UserProvidedCacheLocator", "UserWideCacheLocator")
# The setting of the environment variable of the same name, which wins. mypy does not see what numba sets at run time.
if not config.CACHE_LOCATOR_CLASSES:  # type: ignore[attr-defined]
    config.CACHE_LOCATOR_CLASSES = ",".join(_LOCATORS)  # type: ignore[attr-defined]

_registry: list[Kernel[..., object]] = []


class ReadOnlyLocator(InTreeCacheLocator):
    """Finds machine code beside the source if it is there already and fits, whether or not it could be written."""

    def ensure_cache_path(self) -> None:
        """Accept the folder if it holds the code.

        Raises:
            OSError: it does not.
        """
        source = Path(self._py_file)
        version = f"py{sys.version_info.major}{sys.version_info.minor}"
        for index in (source.parent / "__pycache__").glob(f"{source.stem}.*-{self._lineno}.{version}*.nbi"):
            if self._fits(index.read_bytes()):
                return
        raise FileNotFoundError(f"{source}: no machine code beside it")

    def _fits(self, index: bytes) -> bool:
        """Whether an index of numba's names code for this source, this numba and this processor."""
        content = io.BytesIO(index)
        # The folder is that of the code itself: who can write there needs no pickle to run code.
        if pickle.load(content) != numba.__version__:  # noqa: S301
            return False
        stamp, entries = pickle.load(content)  # noqa: S301
        machine = cpu_target.target_context.codegen().magic_tuple()
        fresh = stamp == self.get_source_stamp()  # type: ignore[no-untyped-call] # numba publishes no types
        return fresh and any(key[1] == machine for key in entries)


class Kernel(Generic[P, R]):
    """A function that is compiled for one signature, at its first call; it runs without the interpreter's lock."""

    def __init__(self, function: Callable[P, R], signature: str) -> None:
        self._function = function
        self._signature = signature
        self._ready: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the kernel, compiling it first if that was not done."""
        ready = self._ready or self.compile()
        return ready(*args, **kwargs)

    def compile(self) -> Callable[P, R]:
        """Load the machine code from the disk or make it; afterwards a call costs microseconds."""
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
    """Make a function part of each kernel in the same file that calls it."""
    return cast("Callable[P, R]", numba.njit(nogil=True, forceinline=True)(function))


def called(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function callable by the kernels in the same file."""
    return cast("Callable[P, R]", numba.njit(nogil=True)(function))


def precompile() -> None:
    """Compile every kernel of the modules that are imported, or load it from the disk.

    For set-up and image builds, and for a bridge before it listens. The caller imports the modules with its kernels
    first: importing them registers what they define.
    """
    for each in _registry:
        each.compile()
