"""The exceptions of the package flume.

::

    FlumeError
    ├── ValuesError        operator   never retry    the values file cannot be used: exit code 2
    ├── RenderError        operator   never retry    values that Flume would silently misinterpret: exit code 2
    ├── JarsError          see below
    │   ├── JarsDiffer     operator   never retry    a jar does not have the recorded checksum
    │   └── JarsMissing    machine    retry          a jar could not be fetched, or our classes not be compiled
    ├── JavaMissing        operator   never retry    no Java 17 or newer on this machine
    ├── MetricsError       machine    retry          the agent's metrics page does not answer, or is not Flume's
    ├── RecoveryError      machine    never retry    files of a killed agent cannot be read; starting one is still safe
    └── AgentError         see below
        ├── AgentNotReady  operator   never retry    components of the configuration did not start
        ├── AgentEnded     machine    retry          the process has ended, although nobody stopped it
        └── SourceDied     operator   retry          the spooling source gave up on a file; the process still runs

The second column says who can repair it, the third whether a retry is sane. Texts may quote lines of the agent's log;
such quotes are bounded and have no control characters.
"""

from __future__ import annotations

from typing import ClassVar


class FlumeError(Exception):
    """Base of all exceptions of this package."""

    exit_code: ClassVar[int] = 1


class ValuesError(FlumeError):
    """The values cannot be used; the text names the file, the key and an allowed value."""

    exit_code = 2


class RenderError(FlumeError):
    """Flume would accept these values and silently do something else; the text says what, and names the keys."""

    exit_code = 2


class JarsError(FlumeError):
    """The class path of the agent cannot be completed."""


class JarsDiffer(JarsError):
    """A jar has another checksum than the recorded one or is not recorded, or the record is of another pom.xml."""


class JarsMissing(JarsError):
    """A jar could not be fetched, or our classes could not be compiled; the text quotes the tool's last lines."""


class JavaMissing(FlumeError):
    """No Java 17 or newer was found; the text has the commands that install it."""

    exit_code = 2


class MetricsError(FlumeError):
    """The metrics page does not answer, or is not a page of Flume's."""


class RecoveryError(FlumeError):
    """The tracker or the file channel of a killed agent cannot be read."""


class AgentError(FlumeError):
    """The agent does not run as configured."""


class AgentNotReady(AgentError):
    """Components did not start in time; ``missing`` has their names, in the form of the metrics page."""

    def __init__(self, text: str, missing: tuple[str, ...]) -> None:
        super().__init__(text)
        self.missing = missing


class AgentEnded(AgentError):
    """The process has ended, although nobody stopped it."""


class SourceDied(AgentError):
    """The spooling source has given up or reads nothing, while process and metrics page look healthy."""
