"""What tests ask a loader's inbox besides its own methods."""

from loader.inbox import Inbox


def batches_in(inbox: Inbox) -> int:
    """The number of batches that no thread has taken yet."""
    return sum(map(len, inbox._lanes.values()))
