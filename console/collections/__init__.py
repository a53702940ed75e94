"""`statesys collections`: the clients that a rule picks out."""
