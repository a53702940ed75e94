"""The viewer, over real sockets, on a real site."""
