"""`statesys status`: where everything is at this moment."""
