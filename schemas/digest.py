"""The digest: when two state messages are the same message."""

from hashlib import sha256

from schemas.report import StateMessage

#: Bytes kept of SHA-256: 2^64 messages of one client and serial before a likely collision.
DIGEST_BYTES = 16

# Control characters cannot occur in XML 1.0, so no value can imitate a separator.
_FIELD, _PARAM, _ABSENT = "\x1f", "\x1d", "\x1e"


def digest(message: StateMessage) -> bytes:
    """SHA-256, 16 bytes kept, over the values of a message in a fixed order.

    The number as sent is one of them: the same state under a new serial is a new message.
    Times count as moments (UTC), so the offset they were written with does not matter.
    """
    m = message
    number = m.serial_text if m.serial is None else m.serial
    text = _FIELD.join(
        (
            _ABSENT if number is None else str(number),
            str(m.topic_type),
            m.topic_id,
            _ABSENT if m.id_type is None else str(m.id_type),
            m.user_name,
            m.user_sid,
            str(m.state_id),
            str(m.criticality),
            m.message_time.isoformat(),
            str(len(m.params)),
            _PARAM.join(m.params),
            _ABSENT if m.details is None else m.details,
            _ABSENT if m.details_type is None else m.details_type,
        )
    )
    return sha256(text.encode()).digest()[:DIGEST_BYTES]
