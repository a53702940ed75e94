"""`statesys compliance`: how many clients are in which state, and which."""
