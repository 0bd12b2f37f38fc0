"""Configuration: one typed structure for all processes; how it is read, and how it is shown."""
