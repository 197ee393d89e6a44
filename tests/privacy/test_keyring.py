from __future__ import annotations

import base64
from pathlib import Path

import pytest

from comms.privacy.keyring import MasterKey, MasterKeyWrong, make_key_file, new_key

KEY = base64.b64encode(b"k" * 32).decode()


def test_what_was_wrapped_unwraps_for_its_purpose_alone() -> None:
    master = MasterKey(KEY)
    wrapped = master.wrap(b"secret", "brand/ada/seal/1")
    assert master.unwrap(wrapped, "brand/ada/seal/1") == b"secret"
    with pytest.raises(MasterKeyWrong):
        master.unwrap(wrapped, "brand/bob/seal/1")


def test_the_wrong_master_key_is_noticed() -> None:
    proof = MasterKey(KEY).proof()
    MasterKey((b"k" * 32).hex()).check(proof)
    with pytest.raises(MasterKeyWrong, match="start with the right one"):
        MasterKey(base64.b64encode(new_key()).decode()).check(proof)


@pytest.mark.parametrize("text", ["", "short", "!" * 44, "zz" * 32, base64.b64encode(b"k" * 31).decode()])
def test_a_malformed_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(MasterKeyWrong) as refused:
        MasterKey(text)
    assert not text or text not in str(refused.value)


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    assert make_key_file(path)
    first = path.read_text()
    assert not make_key_file(path)
    assert path.read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600
    MasterKey(first)
