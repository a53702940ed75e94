"""`statesys verify`: what the clients' stores say is held against what the server has."""
