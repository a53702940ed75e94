"""The requirements of the project, end to end."""
