"""A server's answers as the same objects that a model gives: `Client`, and `AsyncClient` for asyncio.

>>> from earnest.client import Client
>>> with Client("http://localhost:8000") as client:  # doctest: +SKIP
...     client.predict("talk.wav").emotion
'happy'
"""

from earnest.client.calls import ServerError
from earnest.client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "ServerError"]
