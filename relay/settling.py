"""Which deliveries can be acked with one frame: all up to the first that is not settled."""


class Settling:
    """Tags in the order they came, and what is settled of them. Pure.

    An ack for each report would be a frame each; acking "all up to" costs one for hundreds.
    """

    def __init__(self) -> None:
        # Insertion order is tag order: the broker counts up within a channel.
        self._pending: dict[int, bool] = {}

    def took(self, tag: int) -> None:
        """A delivery came."""
        self._pending[tag] = False

    def settle(self, tags: tuple[int, ...]) -> int | None:
        """Deliveries are done.

        Returns:
            The tag up to which all can be acked now, None when an older one is still open.
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
        """What is done, but held up by an older delivery that is not; each needs an ack of its own.

        One letter that nobody takes must not hold up thousands of reports.

        Args:
            more_than: fewer than that are left waiting; most gaps close by themselves.
        """
        done = [tag for tag, settled in self._pending.items() if settled]
        if len(done) <= more_than:
            return []
        for tag in done:
            del self._pending[tag]
        return done

    def __len__(self) -> int:
        """Deliveries that are not acked yet."""
        return len(self._pending)
