"""Keys that are kept outside the database and destroyed one day: under them persons' secrets are wrapped.

A back-up holds the secrets of persons who were erased after it was made, wrapped. It stops being
readable for them when the epoch's key is destroyed, and so does what PostgreSQL has not overwritten yet.

    DIRECTORY/7.key     32 bytes in base64, readable by their owner alone

Where no directory is named there is one epoch, 0, whose key is the master key: it is never destroyed.
"""

from __future__ import annotations

import os
from pathlib import Path

from comms.domain.content import Sealed
from comms.privacy.keyring import (
    KEY_BYTES,
    MasterKey,
    MasterKeyWrong,
    WrappingKey,
    make_key_file,
    read_key,
    sync_directory,
)

MASTERS = 0
"""The epoch whose key is the master key."""

_CHECK = b"comms epoch key"


class EpochKeyMissing(Exception):
    """An epoch's key is not where it should be; the message says which, and what to do."""


class EpochKeys:
    """The keys of one process, read when they are first needed."""

    def __init__(self, master: MasterKey, directory: Path | None = None) -> None:
        self.directory = directory
        self._keys: dict[int, WrappingKey] = {MASTERS: master}

    def key(self, epoch: int) -> WrappingKey:
        """The epoch's key, or `EpochKeyMissing`."""
        if epoch not in self._keys:
            self._keys[epoch] = WrappingKey(self._read(epoch))
        return self._keys[epoch]

    def is_there(self, epoch: int) -> bool:
        """Can its key be had?"""
        try:
            self.key(epoch)
        except EpochKeyMissing:
            return False
        return True

    def make(self, epoch: int) -> bool:
        """Make an epoch's key; False where it is there already."""
        directory = self._directory()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return make_key_file(self._path(epoch))
        except OSError as error:
            raise EpochKeyMissing(f"No key can be made in {directory}: {error.strerror}.") from None

    def destroy(self, epoch: int) -> None:
        """Overwrite it, and remove it. What it wrapped can't be opened any more, here or in a back-up.

        A disk may keep what was overwritten: what it wrapped is of use only with the brand's key.
        """
        self._keys.pop(epoch, None)
        path = self._path(epoch)
        if path.exists():
            with path.open("r+b") as file:
                file.write(os.urandom(2 * KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            sync_directory(path.parent)

    def proof(self, epoch: int) -> Sealed:
        """What is kept in the database so that another key of the same number is noticed at the start."""
        return self.key(epoch).wrap(_CHECK, f"epoch/{epoch}")

    def check(self, epoch: int, proof: bytes) -> None:
        """Raise `EpochKeyMissing` unless its key is here and `proof` was made with it."""
        try:
            self.key(epoch).unwrap(proof, f"epoch/{epoch}")
        except MasterKeyWrong:
            raise EpochKeyMissing(
                f"{self._path(epoch)} is not the key that is in use: all machines must share one directory."
            ) from None

    def _read(self, epoch: int) -> bytes:
        path = self._path(epoch)
        try:
            return read_key(path)
        except (OSError, MasterKeyWrong):
            raise EpochKeyMissing(
                f"The epoch key {path} can't be read: restore it, or share the directory that it was made in."
            ) from None

    def _path(self, epoch: int) -> Path:
        return self._directory() / f"{epoch}.key"

    def _directory(self) -> Path:
        if self.directory is None:
            raise EpochKeyMissing(
                "Persons' keys are wrapped with keys in a directory: name it in COMMS_EPOCH_KEYS_DIR."
            )
        return self.directory
