"""Text that only the vault can read: what domains and events hold in place of personal data."""

from typing import NewType

Sealed = NewType("Sealed", str)
"""Ciphertext. The vault makes and opens it; a plain str in its place is a type error."""
