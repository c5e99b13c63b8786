"""Kill -9 at every effect, run again, and look: one driver for whatever must survive a power cut.

A scenario (driver.Scenario) says what the state is before, what is run, and what must hold. `Drill` counts the effects of a clean
run in a forked process, then runs it once for each of them with a SIGKILL before or after the n-th, runs it again to its end and
looks both times. Effects are watched from outside (effects.py): commits of the registry, verbs of the platform that change it,
renames in the store; calls of the platform are boundaries too. The code under test knows nothing of it.

`python -m tests.failpoints` prints the tables, `--write` puts them into docs/reliability.md.
"""
