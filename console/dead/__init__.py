"""Dead letters: what was refused, why, and putting it back."""
