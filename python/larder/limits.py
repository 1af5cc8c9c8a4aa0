"""The bounds of the data model and of what is taken from the other side, each with its name."""

#: Longest block key, bytes.
KEY_BYTES_MAX = 512
#: Largest block payload, bytes.
PAYLOAD_BYTES_MAX = 512 << 20
#: Longest canonical description of a namespace, bytes.
DESCRIPTION_BYTES_MAX = 16 << 10
#: Deepest nesting of a description, objects and arrays.
DESCRIPTION_DEPTH_MAX = 16
#: Most tokens of one block of a hash chain.
TOKENS_PER_BLOCK_MAX = 65_536
#: Most keys of one request.
REQUEST_KEYS_MAX = 16_384
#: Longest lease, milliseconds.
LEASE_MS_MAX = 600_000

#: Calls of one asyncio client that may wait for a thread; those beyond are answered as `overloaded` at once.
ASYNC_CALLS_WAITING_MAX = 1_024

#: Most keys of one request whose reply has payloads, or that has payloads itself.
PAYLOAD_REQUEST_KEYS_MAX = 32
#: Most payload bytes of one request that has more than one payload.
PAYLOAD_REQUEST_BYTES_MAX = 16 << 20
#: Payload bytes that make another connection worth while for a call.
STREAM_BYTES_MIN = 8 << 20
#: Bytes on their way to a node on this host, for each connection: more do not stay in the processor's caches until the
#: node reads them, fewer wake both sides more often.
LOCAL_SEND_BYTES = 512 << 10
#: For the same reason, payload bytes of one request to a node on this host that has more than one payload in its reply,
LOCAL_REQUEST_BYTES_MAX = 2 << 20
#: and such requests that are sent before the first of their replies is read.
LOCAL_REQUESTS_AHEAD = 2
#: Requests for payloads that are sent before the first of their replies is read.
REQUESTS_AHEAD = 4

#: Longest line of a reply, bytes.
REPLY_LINE_BYTES_MAX = 16 << 10
#: Longest bulk string of a reply that is not a payload, bytes.
REPLY_BULK_BYTES_MAX = 1 << 20
#: Most bytes of all bulk strings of one such reply.
REPLY_BYTES_MAX = 64 << 20
#: Most elements of one reply, all levels together.
REPLY_ELEMENTS_MAX = 1 << 20
#: Deepest nesting of a reply.
REPLY_DEPTH_MAX = 8
