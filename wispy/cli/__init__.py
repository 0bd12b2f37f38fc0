"""The commands: `wispy` with all that it can do, `wispy-frontend`, `wispy-worker`.

    main        what is started: reads the command line, runs, turns errors into one line and an exit status
    commands    the table of all commands: what they are called, take, and say about themselves
    serving     `serve`, `config`, and the commands of single processes
    using       `call`, `get`, `set`, ...: a running object, from a terminal
    watching    `watch`: its channels, live
    top         `top`: objects, owners, queues, rates and sessions, live
    exposing    `describe MODULE:OBJECT`: what could be touched of an object that is not served yet
    project     `new`: the beginning of a project
    tokens      `token`: a user's token, and the entry for it
    capacity    `capacity`: how many processes a load takes
    target      which server a command means
    words       what a word of the command line means as a value
    printing    values and descriptions, for people and as JSON
    outcome     how a command ends: the exit statuses
    reference   the page of the documentation about all commands

Rules:
- A command imports what it needs when it runs: `wispy get` does not wait for the server's code to load.
- What a command is asked for goes to standard output, all else to standard error.
"""

from wispy.cli.main import frontend, main, worker

__all__ = ["frontend", "main", "worker"]
