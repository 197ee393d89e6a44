"""What a person is asked before a secure page is shown: taken from a caller, kept as a hash, compared."""

from __future__ import annotations

import asyncio
import hmac
from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from comms.actions.setup import Brand
from comms.domain.errors import Refused
from comms.domain.options import Options, Proof
from comms.domain.proof import FEWEST, normal
from comms.privacy.proofs import hashed
from comms.render.versions import Version

_SLOW = ThreadPoolExecutor(2, "proof")
"""As many hashes are made at a time; whoever guesses in parallel waits here, and nobody else does."""


async def hidden(brand: Brand, options: Options, key_hash: bytes) -> Options:
    """The options as they are kept; 422 `weak_proof` where the answer is too short to prove anything."""
    if options.proof is None:
        return options
    answer = normal(options.proof.answer)
    if not could_be(answer):
        why = f"options.proof.answer must have {FEWEST} letters or digits at least."
        raise Refused(422, "weak_proof", why)
    return replace(options, proof=Proof(options.proof.question, await _hash(brand, key_hash, answer)))


def could_be(answer: str) -> bool:
    """Is it long enough to be one? What nobody could have said is no try."""
    return len(normal(answer)) >= FEWEST


async def matches(brand: Brand, proof: Proof, key_hash: bytes, answer: str) -> bool:
    """Is it what the caller said, whatever its case, blanks and punctuation?"""
    given = await _hash(brand, key_hash, normal(answer))
    return hmac.compare_digest(given, proof.answer)


def require(version: Version, options: Options) -> None:
    """422 `missing_proof` where a page would be shown to whoever holds its link."""
    if version.page_lives is not None and options.proof is None:
        why = "The template has a secure page; say in options.proof what the person is asked, and the answer."
        raise Refused(422, "missing_proof", why)


async def _hash(brand: Brand, key_hash: bytes, answer: str) -> str:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_SLOW, hashed, brand.cipher, key_hash, answer)
