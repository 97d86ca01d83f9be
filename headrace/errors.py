"""Every error that this package raises on purpose.

::

    HeadraceError               1
    ├── UsageError              2     user       never retry    an option or file name cannot be used
    ├── MissingPrerequisite     1     machine    never retry    Java, Docker or compose is missing
    ├── StateError              1     see below
    │   ├── StateLocked         1     user       retry          another run holds the state folder
    │   └── StateUnusable       2     user       never retry    the folder cannot be written, or is not what it must be
    ├── DropError               1     user       never retry    a file could not be handed over; none of it was
    │   └── ArchiveDamaged      1     user       never retry    a compressed file is cut short or damaged
    ├── StageError              1     see below
    │   ├── StageRefused        2     user       never retry    a stage refuses its configuration
    │   ├── StageFailed         1     see text   never retry    a stage cannot go on, however often it is started
    │   └── StageTimeout        1     machine    retry          a stage did not become ready, or did not finish, in time
    ├── NotRunning              1     user       retry          no run holds the state folder, or no container runs
    ├── ContainersFailed        1     machine    retry          Docker or compose failed, or a service is not ready
    ├── SumBroken               1     project    never retry    some lines are not accounted for
    └── Interrupted             130   user       retry          Ctrl-C or SIGTERM came before the work was done

The columns: the exit code of the command, who is to blame, whether a retry is sane, and what happened. Every message
says what happened, where, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class HeadraceError(Exception):
    """Base class of all errors of this package."""

    exit_code: ClassVar[int] = 1


class UsageError(HeadraceError):
    """An option or a file name cannot be used; the message names it and says what would be right."""

    exit_code = 2


class MissingPrerequisite(HeadraceError):
    """The machine lacks a program; the message has the command that installs it."""


class StateError(HeadraceError):
    """The state folder cannot be used."""


class StateLocked(StateError):
    """Another run holds the state folder."""


class StateUnusable(StateError):
    """A folder cannot be written, has a file that cannot be read, or is not empty where an empty one is needed."""

    exit_code = 2


class DropError(HeadraceError):
    """A file could not be handed over. The agent sees none of it, and the original is unchanged."""


class ArchiveDamaged(DropError):
    """A compressed file is cut short, is not of its format, or unpacks to more than is allowed."""


class StageError(HeadraceError):
    """A stage of the pipeline failed, and that ends the command."""


class StageRefused(StageError):
    """A stage ended with exit code 2: its configuration cannot be used, so a restart cannot help."""

    exit_code = 2


class StageFailed(StageError):
    """A stage ended and said that no restart can help, for example because lines are lost; the message says which."""


class StageTimeout(StageError):
    """A stage did not become ready, or did not finish, in time."""


class NotRunning(HeadraceError):
    """No run holds the state folder, or no container runs, so nothing can be stopped or shown."""


class ContainersFailed(HeadraceError):
    """Docker or compose failed, or a container did not become ready; the message has the end of the output."""


class SumBroken(HeadraceError):
    """The number of lines that went in differs from the number that came out; the message has every term."""


class Interrupted(HeadraceError):
    """Ctrl-C or SIGTERM ended the command before its work was done."""

    exit_code = 130
