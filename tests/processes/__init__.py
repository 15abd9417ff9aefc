"""Python processes that tests start, without the time that imports take."""

from tests.processes.client import EXECUTABLE as EXECUTABLE
from tests.processes.client import Process as Process
from tests.processes.client import forking as forking
from tests.processes.client import run as run
