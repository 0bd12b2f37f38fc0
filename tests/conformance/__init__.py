"""The Autobahn test suite against both shells: `python -m tests.conformance`."""
