"""The operator's room: demo, status, verify, trace, dead letters, topics."""
