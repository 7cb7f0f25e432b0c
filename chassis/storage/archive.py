"""The archive: documents kept byte for byte, each under the SHA-256 of its bytes.

They lie in the table `documents` of the service's own database, which a migration of the service makes.
"""

from hashlib import sha256

from chassis.storage.database import Pool


class Damaged(Exception):
    """A document is not there any more, or no longer the bytes it is filed under."""


class Archive:
    """The documents of one service."""

    def __init__(self, pool: Pool) -> None:
        """Keep documents through `pool`."""
        self._pool = pool

    async def keep(self, content: bytes) -> str:
        """Keep a document for good and return its SHA-256; when this returns it is on disk, and events may name it."""
        digest = sha256(content)
        # The same bytes again are the same document.
        await self._pool.execute(
            "INSERT INTO documents (sha256, content) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING",
            digest.digest(),
            content,
        )
        return digest.hexdigest()

    async def fetch(self, digest: str) -> bytes:
        """Return the document with this SHA-256. Raises Damaged."""
        content: bytes | None = await self._pool.fetchval(
            "SELECT content FROM documents WHERE sha256 = $1", bytes.fromhex(digest)
        )
        if content is None or sha256(content).hexdigest() != digest:
            raise Damaged(f"the document {digest} is {'missing' if content is None else 'not what it was'}")
        return content
