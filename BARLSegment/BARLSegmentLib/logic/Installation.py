"""An installation, or a look at one, that goes on while the window lives: one command after the other."""

from __future__ import annotations

from barl.errors import BarlError
from BARLSegmentLib.logic.ChildPython import ChildPython, Command, Finished, tookTooLong
from BARLSegmentLib.logic.FollowedProcess import FollowedProcess
from BARLSegmentLib.logic.InstallLogic import Installing, Package


class Installation:
    """Runs ``InstallLogic.installing`` or ``checking``; ``look`` is called by a timer and never waits.

    Args:
        steps: the commands.
        python: how they are run.

    Attributes:
        command: what is being done; None before the start.
        lastLine: the last line that the process printed.
        packages: how all packages are, once it is over.
    """

    def __init__(self, steps: Installing, python: ChildPython) -> None:
        self._steps = steps
        self._python = python
        self._process: FollowedProcess | None = None
        self.command: Command | None = None
        self.lastLine = ""
        self.packages: tuple[Package, ...] = ()

    def start(self) -> None:
        """Start the first command.

        Raises:
            BarlError: as ``InstallLogic.install``.
        """
        self._go(None)

    def look(self) -> bool:
        """See how far it is; returns whether it is over.

        Raises:
            BarlError: as ``InstallLogic.install``; nothing goes on then.
        """
        process, command = self._process, self.command
        if process is None or command is None:
            return True
        code = process.look()
        self.lastLine = next((line for line in reversed(process.output.splitlines()) if line.strip()), self.lastLine)
        if code is not None:
            self._go(Finished(code=code, output=process.output))
        elif process.seconds > command.timeoutSeconds:
            self.stop()
            raise tookTooLong(self._python.line(command)[0], command)
        return self._process is None

    def stop(self) -> None:
        """End it where it is; what is half installed is found by the next check."""
        if self._process is not None:
            self._process.end()
        self._process = None
        self._steps.close()

    def _go(self, finished: Finished | None) -> None:
        self._process = None
        try:
            self.command = next(self._steps) if finished is None else self._steps.send(finished)
        except StopIteration as over:
            self.packages = over.value or ()
            return
        self.lastLine = ""
        try:
            self._process = FollowedProcess(self._python.line(self.command), self._python.environment)
        except BarlError:
            self._steps.close()
            raise
