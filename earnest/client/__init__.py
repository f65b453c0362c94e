"""A server's answers as the same objects that a model gives: `Client`, and `AsyncClient` for asyncio.

>>> from earnest.client import Client
>>> with Client("http://localhost:8000") as client:  # doctest: +SKIP
...     client.predict("talk.wav").emotion
'happy'
"""

from earnest.client.aio import AsyncClient
from earnest.client.calls import ServerError
from earnest.client.sync import Client

__all__ = ["AsyncClient", "Client", "ServerError"]
