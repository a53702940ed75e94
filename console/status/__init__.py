"""`statesys status`: the present state of queues, dead letters, clients and messages."""
