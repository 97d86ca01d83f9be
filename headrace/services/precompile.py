"""Compiles the kernels of bridge and workers while an image is built.

The image build runs it as root with ``NUMBA_CACHE_LOCATOR_CLASSES=InTreeCacheLocator``, which puts the machine code
beside the source. Containers read it there, under another account and from a read-only file system (see
:mod:`headrace.common.kernels`). On another kind of processor than that of the build the code does not fit; then each
container compiles the kernels again, into ``NUMBA_CACHE_DIR``.
"""

from __future__ import annotations


def precompile() -> None:
    """Compile every kernel of both packages."""
    # Importing a module registers its kernels; the function called below compiles all that are registered.
    import avro_bridge.app  # noqa: F401
    from spark_job.parse.kernels.precompile import precompile as compile_registered

    compile_registered()
