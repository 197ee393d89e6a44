"""Templates that mean harm: each is stopped by a limit, and the next one renders."""

from __future__ import annotations

import pytest

from comms.domain.errors import Refused
from comms.render.engine import TooLong, alarm
from comms.render.versions import Source, publish

LONG = "x" * 64
HOSTILE = {
    "a loop without end": "{% for i in (1..1000000000) %}x{% endfor %}",
    "loops in loops": "{% for i in (1..99999) %}{% for j in (1..99999) %}{% endfor %}{% endfor %}",
    "a table without end": "{% tablerow i in (1..1000000000) %}x{% endtablerow %}",
    "doubling": "{% assign s='x' %}{% for i in (1..100) %}{% assign s = s | append: s %}{% endfor %}{{ s }}",
    "multiplying": f"{{% assign s='{LONG}' %}}" + "{% assign s = s | replace: '', s %}" * 5 + "{{ s }}",
    "joining": "{% assign s = v %}{{ v | split: '' | join: s }}",
    "great numbers": "{% assign n=9999 %}{% for i in (1..99) %}{% assign n = n | times: n %}{% endfor %}",
    "deep nesting": "{% if true %}" * 20_000 + "{% endif %}" * 20_000,
    "deep brackets": "{{ a" + "[a" * 5_000 + "]" * 5_000 + " }}",
    "a chain of filters": "{{ '&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&' " + "| escape " * 7_000 + "}}",
    "capturing": "{% capture s %}{% for i in (1..9999) %}" + LONG + "{% endfor %}{% endcapture %}{{ s }}",
    "many digits": "{{ 1" + "0" * 100_000 + " | plus: 1 }}",
    "comparing all with all": "{{ v | split: '' | uniq | size }}",
    "other files": "{% include '/etc/passwd' %}",
    "other templates": "{% render 'x' %}",
}


LOST = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Hypothesis times the collector in a callback of its own; an alarm that goes off there is lost, and said."""


@LOST
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_is_stopped_and_harms_only_itself(body: str) -> None:
    every_character = "".join(map(chr, range(0x20, 0xD000)))
    with pytest.raises(Refused) as refused:
        publish(Source("sms", body)).render({"v": every_character, "a": {}})
    assert refused.value.code in {"does_not_render", "invalid_template"}
    assert publish(Source("sms", "{{ a }}")).render({"a": "fine"}).body == "fine"


class Finalized:
    """Keeps the processor busy where Python loses every exception, until one comes."""

    def __del__(self) -> None:
        while True:
            pass


def loses_an_alarm_and_goes_on() -> None:
    Finalized()
    while True:
        pass


@LOST
def test_an_alarm_that_python_lost_goes_off_again() -> None:
    with pytest.raises(TooLong), alarm(0.05):
        loses_an_alarm_and_goes_on()


def test_data_is_never_a_template() -> None:
    value = "{{ 7 | times: 7 }}{% include 'x' %}${x}"
    assert publish(Source("sms", "{{ a }}")).render({"a": value}).body == value


def test_mjml_on_which_its_parser_panics_is_refused() -> None:
    """Found by `make fuzz`: what it raises is no Exception, and went past all who catch those."""
    with pytest.raises(Refused) as refused:
        publish(Source("email", "<mjml>ec\ufffdt>Hi<//mgmi\ufffd\ufffd\ufffdctkb>", subject="Hi"))
    assert refused.value.code == "invalid_template"
