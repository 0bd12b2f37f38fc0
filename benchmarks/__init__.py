"""Benchmarks of wispy against a bare Tornado server, measured side by side: `python -m benchmarks --help`.

    __main__, scenarios, harness, capacity        what is measured, and in which order
    systems, processes                            the servers under test, and what the kernel says of them
    jobs                                          the structures that pass between the harness and the load generator
    loadgen, calls, fanout, idle, client, window, wire
                                                  the load generator, a process of its own
    objects, publisher, baseline                  what runs inside the servers under test
    report, targets, profile, counting            tables, the targets, and where the time goes

Rules. Each figure of wispy stands beside one of the baseline from the same run, taken in turns (A B A B), because the
machine's speed drifts. Each answer and each update is checked. CPU time is what the kernel charged to the servers, all
of their threads, while the load was steady; the load generator's own is shown apart.
"""
