"""`autoreload`: a program is started again whenever one of its source files changes.

    files       which files those are, and whether one has changed
    handover    what passes between the program and its watcher
    watcher     the parent process: watches, starts, stops

Rules:
- The process that meets `autoreload` becomes the watcher (by exec: it lets go of all that it has opened, for an
  instrument is not opened twice), and the program runs in a child of it, from its first line.
- What must outlive a restart is the watcher's: the private Redis, the listening sockets, the key of the sessions. So
  pages wait, instead of being refused, and go on with their sessions.
- A program that fails ends nothing: the watcher waits for the next change. It never imports a program's code.
- Nothing is polled but here, five times a second, in development.
"""
