"""Finds out which deliveries one ack frame can cover. No I/O."""


class Settling:
    """Delivery tags in order of arrival, each finished or pending.

    One ack of "all up to this tag" replaces hundreds of single ack frames.
    """

    def __init__(self) -> None:
        # Insertion order is tag order, since tags increase within a channel. True: finished.
        self._pending: dict[int, bool] = {}

    def add_delivery(self, tag: int) -> None:
        """Add a delivery as pending."""
        self._pending[tag] = False

    def settle(self, tags: tuple[int, ...]) -> int | None:
        """Mark deliveries as finished.

        Returns:
            The tag up to which all deliveries can be acked now; None if the oldest is pending.
        """
        for tag in tags:
            self._pending[tag] = True
        done: list[int] = []
        for tag, settled in self._pending.items():
            if not settled:
                break
            done.append(tag)
        for tag in done:
            del self._pending[tag]
        return done[-1] if done else None

    def stragglers(self, more_than: int) -> list[int]:
        """Remove and return finished deliveries behind a pending one, each for an ack of its own.

        Otherwise one dead letter that the broker refuses would delay the acks of thousands of
        reports.

        Args:
            more_than: return nothing for up to this many; most of the pending ones finish soon.
        """
        done = [tag for tag, settled in self._pending.items() if settled]
        if len(done) <= more_than:
            return []
        for tag in done:
            del self._pending[tag]
        return done
