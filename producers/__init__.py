"""Synthetic clients: durable store and outbox, report rendering, the fleet."""
