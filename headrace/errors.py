"""Every error that the command line raises on purpose.

::

    HeadraceError               1
    ├── UsageError              2     user       never retry    an option or file name cannot be used
    ├── MissingPrerequisite     1     machine    never retry    Java, Python or Flume's jars are not there
    ├── StateError              1     see below
    │   ├── StateLocked         1     user       retry          another run holds the state folder
    │   └── StateUnusable       2     user       never retry    the folder cannot be written, or is not what it must be
    ├── DropError               1     user       never retry    a file could not be handed over; nothing of it was
    │   └── ArchiveDamaged      1     user       never retry    a compressed file is cut short or is not one
    ├── StageError              1     see below
    │   ├── StageRefused        2     user       never retry    a stage says that its configuration cannot be used
    │   └── StageTimeout        1     machine    retry          a stage did not become ready, or did not finish, in time
    ├── NotRunning              1     user       retry          no run holds the state folder, or no containers run
    ├── ContainersFailed        1     machine    retry          the engine or compose refused, or a service is not ready
    ├── SumBroken               1     project    never retry    lines went in that are not accounted for
    └── Interrupted             130   user       retry          Ctrl-C or SIGTERM came before the work was done

The first column is the exit code of the command, then whose fault it is, then whether doing the same again is sane.
Every text says what happened, where, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class HeadraceError(Exception):
    """Root of everything the command line raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(HeadraceError):
    """An option or a file name cannot be used; the text names it and what would be right."""

    exit_code = 2


class MissingPrerequisite(HeadraceError):
    """The machine lacks something; the text has the command that installs it."""


class StateError(HeadraceError):
    """The state folder cannot be used as it is."""


class StateLocked(StateError):
    """Another run holds the state folder."""


class StateUnusable(StateError):
    """The state folder cannot be written, or is not empty where an empty one is needed."""

    exit_code = 2


class DropError(HeadraceError):
    """A file could not be handed over. Nothing of it is visible to the agent, and the original is untouched."""


class ArchiveDamaged(DropError):
    """A compressed file ends before its end mark, is not of its format, or unpacks to more than allowed."""


class StageError(HeadraceError):
    """A stage of the pipeline failed in a way that ends the command."""


class StageRefused(StageError):
    """A stage ended with exit code 2: its configuration cannot be used, so starting it again is no use."""

    exit_code = 2


class StageTimeout(StageError):
    """A stage did not become ready, or did not finish, within its time."""


class NotRunning(HeadraceError):
    """No run holds the state folder, or no containers run, so there is nothing to stop or to look at."""


class ContainersFailed(HeadraceError):
    """Docker or compose refused something, or a container did not become ready; the text has what was said."""


class SumBroken(HeadraceError):
    """What went in and what came out differ; the text has every term."""


class Interrupted(HeadraceError):
    """Ctrl-C or SIGTERM ended the command before its work was done."""

    exit_code = 130
