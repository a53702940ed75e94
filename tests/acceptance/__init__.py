"""What the project was asked for, end to end."""
