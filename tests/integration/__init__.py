"""One room at a time, on a real broker and a real database."""
