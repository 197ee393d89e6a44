"""The help teaches by example, and its examples are right."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from comms.cli.main import main

_EXAMPLE = re.compile(r"^ *(?:\| )?(?:COMMS_\w+=\S+ )*comms (.*)$", re.MULTILINE)
_PIPED = re.compile(r"\| comms (.*)$", re.MULTILINE)


def commands(group: click.Group = main, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that name it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


def examples(command: click.Command) -> list[list[str]]:
    """The words after `comms` of each example in a command's help."""
    text = command.help or ""
    found = [*_EXAMPLE.findall(text), *_PIPED.findall(text)]
    return [shlex.split(words, comments=True) for words in dict.fromkeys(found)]


EXAMPLES = [(path, words) for path, command in COMMANDS.items() for words in examples(command)]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    shown = examples(COMMANDS[path])
    assert [words for words in shown if tuple(words[: len(path)]) == path]


@pytest.mark.parametrize("words", [words for _, words in EXAMPLES], ids=" ".join)
def test_every_example_is_understood(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in words:
        if word.endswith((".json", ".csv")):
            Path(word).write_text("{}")
    understand(main, click.Context(main), words)


def understand(command: click.Command, parent: click.Context, words: list[str]) -> None:
    """Parse the words as the command line does, without doing what they say."""
    if isinstance(command, click.Group):
        assert words, "a group's name is no command"
        named = command.get_command(parent, words[0])
        assert named is not None, f"there is no command {words[0]}"
        understand(named, parent, words[1:])
        return
    with command.make_context(command.name, list(words), parent=parent):
        return


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    options = [each for each in COMMANDS[path].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help and not each.show_default] == []
