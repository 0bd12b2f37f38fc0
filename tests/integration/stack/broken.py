"""A module that cannot be imported."""

thing = 1 / 0
