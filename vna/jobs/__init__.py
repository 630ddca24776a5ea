"""Long actions with progress, kept in the control database.

A job is a row before anything is done, so it survives the process: whoever opens the archive next
goes on with it, from what the job had saved. A job waits for a slot of its destination, so that a
peer that never answers holds up nobody but those who want it too.

What always holds:

(1) A job is answered with its id only after its row is committed.
(2) A state is changed by one guarded statement: of two who change it, one finds it changed.
(3) A job may be run again from what it saved last, after a crash or a pause; its steps must bear
    being done twice.
(4) A running job holds a lease that its process renews. Whoever takes a job over after its end
    owns it: what the former owner still writes changes nothing.
"""

from vna.jobs.job import Job, Output, Run
from vna.jobs.jobs import Jobs

__all__ = ["Job", "Jobs", "Output", "Run"]
