"""`statesys why`: why a client's state is unknown or old, in one verdict."""
