"""Client of a Larder node, a cache for the KV blocks of LLM inference.

>>> from larder import Client
>>> client = Client("127.0.0.1:7379")                                     # doctest: +SKIP
>>> ns = client.describe({"model": "m", "dtype": "bfloat16", "tokens_per_block": 16})   # doctest: +SKIP
>>> keys = larder.hashing.block_hashes(tokens, 16)                        # doctest: +SKIP
>>> with client.match(ns, keys, lease_ms=10_000) as held:                 # doctest: +SKIP
...     client.get_into(ns, keys[:held.count], buffers[:held.count])
>>> client.put_from(ns, keys[held.count:], new_blocks, tokens=16)         # doctest: +SKIP
"""

from pkgutil import extend_path

from . import hashing
from ._version import __version__
from .aio import AsyncClient, AsyncClusterClient
from .breaker import BreakerPolicy
from .client import Client
from .cluster import ClusterClient
from .errors import LarderError
from .namespace import Namespace
from .results import Blocks, KeyCount, Lease, Match, PutResult

# Code that grpcio generates from proto/larder/v1 is `larder.v1`, wherever on the path it lies.
__path__ = extend_path(__path__, __name__)

__all__ = [
    "AsyncClient",
    "AsyncClusterClient",
    "Blocks",
    "BreakerPolicy",
    "Client",
    "ClusterClient",
    "KeyCount",
    "LarderError",
    "Lease",
    "Match",
    "Namespace",
    "PutResult",
    "hashing",
    "__version__",
]
