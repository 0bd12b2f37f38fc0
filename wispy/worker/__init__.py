"""The worker: the process that owns objects, runs their code and publishes their changes."""
