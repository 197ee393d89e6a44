"""S15, S16, S18, S20: templates that reach out, and values that would be more than values."""

from __future__ import annotations

import contextlib
import re

import httpx2 as httpx
import pytest

from comms.domain.errors import Refused
from comms.render.versions import Source, is_script, publish
from tests.http.bad_inputs import GOOD

ESCAPES = (
    "{{ ''.__class__.__mro__ }}",
    "{{ name.__class__ }}",
    "{{ name['__class__'] }}",
    "{{ name.__init__.__globals__ }}",
    "{{ name | attr: '__class__' }}",
    "{{ '%s' | format: name }}",
    "{{ name | map: '__class__' }}",
    "{{ list | map: '__class__' | first }}",
    "{{ list | where: '__class__' | first }}",
    "{{ list | sort: '__class__' | first }}",
    "{{ list | sum: '__len__' }}",
    "{{ self }}",
    "{{ environment }}",
    "{{ forloop.__class__ }}",
    "{% for x in list %}{{ forloop.__class__ }}{{ forloop.parentloop.__dict__ }}{% endfor %}",
    "{% tablerow x in list %}{{ tablerowloop.__class__ }}{% endtablerow %}",
    "{% include 'x' %}",
    "{% render 'x' %}",
    "{% layout 'x' %}",
    "{% extends 'x' %}",
    "{% macro x %}{% endmacro %}{% call x %}",
    "{% liquid include 'x' %}",
    "{{ 'x' | script_tag }}",
    "{% raw %}{% endraw %}{{ name.__class__.__base__.__subclasses__ }}",
    "{% assign x = name.__class__ %}{{ x }}",
    "{% capture x %}{{ name.format_map }}{% endcapture %}{{ x }}",
    "{{ name | default: name.__class__ }}",
    "{{ now.__class__ }}{{ 'now' | date: '{0.__class__}' }}",
)

MORE_THAN_VALUES = (
    "{{ 7 | times: 7 }}", "{% include 'x' %}", "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)', "' onmouseover='alert(1)", "</a><svg onload=alert(1)>",
    "<!--", "]]>", "&lt;script&gt;", "<mj-raw>x</mj-raw>", "<style>@import url(//x)</style>",
)  # fmt: skip

SCRIPTS = (
    "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "java\nscript:alert(1)",
    "\x01javascript:alert(1)", "vbscript:x", "data:text/html,<script>alert(1)</script>", "javascript\r:alert(1)",
)  # fmt: skip

BREAKS = ("\r\nBcc: x@y.org", "\rX: y", "\n X", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x7f")


@pytest.mark.parametrize("body", ESCAPES)
def test_a_template_reaches_nothing_but_its_variables(body: str) -> None:
    variables = {"name": "Ada", "list": ["a", {"b": "c"}], "x": 1}
    with contextlib.suppress(Refused):
        made = publish(Source("sms", f"Hi {body}")).render(variables).body
        assert not any(
            word in made for word in ("<class", "class '", "object at", "<built-in", "__", "liquid.")
        )


@pytest.mark.parametrize("value", MORE_THAN_VALUES)
def test_a_value_is_a_value(value: str) -> None:
    """Rendered once; in HTML it is text, and stays inside the attribute where it stands."""
    assert publish(Source("sms", "Hi {{ name }}")).render({"name": value}).body == f"Hi {value}"
    markup = '<p title="{{ name }}">{{ name }}</p>'
    made = publish(Source("email", markup, subject="Hi")).render({"name": value})
    body = made.body.removeprefix('<p title="').removesuffix("</p>")
    assert body.count('">') == 1
    assert not {"<", ">", '"', "'"} & set(body.replace('">', ""))
    assert value in (made.text or "").replace("\n", " ")


@pytest.mark.parametrize("address", SCRIPTS)
def test_no_value_makes_a_script_of_an_address(address: str) -> None:
    assert is_script(address)
    sources = [
        Source("push", "Hi", subject="Hi", action_url="{{ url }}"),
        Source("email", '<a href="{{ url }}">Go</a>', subject="Hi"),
        Source("email", "<form ACTION = '{{ url }}'><button>Go</button></form>", subject="Hi"),
    ]
    if not re.search(r"\S\s", address):  # white space within ends an address without quotes
        sources.append(Source("email", "<a href={{ url }}>Go</a>", subject="Hi"))
    for source in sources:
        with pytest.raises(Refused) as refused:
            publish(source).render({"url": address})
        assert refused.value.code == "does_not_render"
        assert "alert" not in refused.value.message


@pytest.mark.parametrize(
    "address", ["https://example.org/a?b=javascript:", "/javascript:", "mailto:a@b.org", "tel:+1"]
)
def test_an_address_that_only_speaks_of_scripts_is_one(address: str) -> None:
    made = publish(Source("email", '<a href="{{ url }}">Go: javascript: is no link</a>', subject="Hi"))
    assert address.replace("&", "&amp;") in made.render({"url": address}).body


@pytest.mark.parametrize("broken", BREAKS)
def test_no_value_begins_a_line_of_a_subject(broken: str) -> None:
    source = Source("email", "<p>Hi</p>", subject="Hi {{ name }}")
    subject = publish(source).render({"name": f"Ada{broken}"}).subject or ""
    assert subject.isprintable()
    assert len(subject.splitlines()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("broken", [*BREAKS, "\x00"])
async def test_no_sender_holds_a_second_header(client: httpx.AsyncClient, broken: str) -> None:
    for sender in (
        {"address": "care@loop.test", "name": f"Loop{broken}"},
        {"address": f"care@loop.test{broken}"},
        {"address": "care@loop.test", "reply_to": f"a@loop.test{broken}"},
    ):
        answer = await client.put("/v1/brands/loop", json={"name": "Loop", "senders": {"email": sender}})
        assert answer.status_code == 422, sender
    for recipient in ("a@b.org>\r\nRCPT TO:<x@y.org", "a@b.org,c@d.org", "a@b.org?cc=x", f"a{broken}@b.org"):
        answer = await client.post(
            "/v1/messages/schedule", json={**GOOD, "channel": "email", "recipient": recipient}
        )
        assert answer.status_code == 422, recipient
