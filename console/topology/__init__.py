"""Checks the queues, exchanges and policies of the broker."""
