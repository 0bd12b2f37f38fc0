"""`make chaos`: breaks things at random under load, keeps the books, and fails on what breaks a promise."""
