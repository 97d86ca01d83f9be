"""Every error that the agent's side raises on purpose.

::

    FlumeError
    ├── ValuesError        operator   never retry    the values file cannot be used: exit code 2
    ├── RenderError        operator   never retry    a combination that Flume would swallow in silence: exit code 2
    ├── JarsError          see below
    │   ├── JarsDiffer     operator   never retry    a jar is not the one whose checksum is recorded
    │   └── JarsMissing    machine    retry          a jar could not be fetched, or the sink not be compiled
    ├── JavaMissing        operator   never retry    no Java 17 or newer on this machine
    ├── MetricsError       machine    retry          the agent's metrics page does not answer, or not as Flume's does
    ├── RecoveryError      machine    never retry    what a killed agent left cannot be read; the agent may be started
    └── AgentError         see below
        ├── AgentNotReady  operator   never retry    components of the configuration did not come up
        ├── AgentEnded     machine    retry          the process has ended by itself
        └── SourceDied     operator   retry          the spooling source gave up on a file; the process lives on

The column after the name says whose fault it is, then whether doing the same again is sane. Texts may quote lines of
the agent's log; such quotes are bounded and hold no control characters.
"""

from __future__ import annotations

from typing import ClassVar


class FlumeError(Exception):
    """Root of everything that this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class ValuesError(FlumeError):
    """The values cannot be used; the text names the file, the key and what would be right."""

    exit_code = 2


class RenderError(FlumeError):
    """Flume would take these values, say little and do something else; the text says what and names the keys."""

    exit_code = 2


class JarsError(FlumeError):
    """The agent's class path cannot be put together."""


class JarsDiffer(JarsError):
    """A jar is not the one that was recorded, is unknown, or the record belongs to another pom.xml."""


class JarsMissing(JarsError):
    """A jar could not be fetched, or the sink could not be compiled. The text holds the tool's last lines."""


class JavaMissing(FlumeError):
    """There is no Java 17 or newer; the text holds the commands that install one."""

    exit_code = 2


class MetricsError(FlumeError):
    """The metrics page does not answer, or what it answers is not Flume's."""


class RecoveryError(FlumeError):
    """The tracker or the file channel that a killed agent left cannot be read."""


class AgentError(FlumeError):
    """The agent does not do what its configuration says."""


class AgentNotReady(AgentError):
    """Components did not come up in time; ``missing`` holds their names as the metrics page would show them."""

    def __init__(self, text: str, missing: tuple[str, ...]) -> None:
        super().__init__(text)
        self.missing = missing


class AgentEnded(AgentError):
    """The process has ended although nobody stopped it."""


class SourceDied(AgentError):
    """The spooling source has given up for good, or reads nothing; the process and its metrics page look healthy."""
