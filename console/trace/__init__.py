"""`statesys trace`: where a message is, or went."""
