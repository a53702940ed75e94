"""Dead letters: list, show, replay and purge them."""
