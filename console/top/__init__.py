"""`statesys top`: who sends most, in the last hour and the last day."""
