"""The viewer, without servers."""
