"""`statesys trace`: where a message is, or what became of it."""
