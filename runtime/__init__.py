"""What every process needs to run: settings, the broker connection, logs, private services."""
