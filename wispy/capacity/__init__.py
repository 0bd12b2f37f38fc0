"""How many processes a load takes: a model (`model`), and what was measured for it (`measurements`)."""
