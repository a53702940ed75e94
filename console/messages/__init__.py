"""`statesys messages`: the history, newest first."""
