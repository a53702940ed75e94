"""`statesys verify`: compares the clients' stores with the database, messages and states."""
