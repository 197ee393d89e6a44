from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.errors import Refused, TemplateRefused
from comms.render.engine import Part
from comms.render.versions import Secure, Source, publish

SMS = "Hi {{ name }}, see you at {{ visit.time }}."


@pytest.mark.parametrize(
    ("body", "required", "optional"),
    [
        ("{{ a }}", {"a"}, set()),
        ("{{ a.b }} {{ a.c | upcase }}", {"a.b", "a.c"}, set()),
        ("{% if a %}{{ a }}{% endif %}", set(), {"a"}),
        ("{% if a.b %}{{ a.b.c }}{% endif %}", set(), {"a.b", "a.b.c"}),
        ("{% if x == 'y' %}1{% elsif z %}2{% endif %}", set(), {"x", "z"}),
        ("{% unless a %}{{ b }}{% endunless %}", {"b"}, {"a"}),
        ("{% case a %}{% when 1 %}x{% endcase %}", {"a"}, set()),
        ("{{ a | default: 'x' }}", set(), {"a"}),
        ("{{ a | default: b }}", set(), {"a", "b"}),
        ("{{ a | upcase | default: 'x' }}", {"a"}, set()),
        ("{{ a['b.c'] }}", {"a.b.c"}, set()),
        ("{% for n in items %}{% if n %}x{% endif %}{% endfor %}{{ n }}", {"items", "n"}, set()),
        ("{{ n }}{% assign n = 1 %}{% if n %}x{% endif %}", {"n"}, set()),
        ("{% for x in items %}{{ x.n }} {{ forloop.index }}{% endfor %}", {"items"}, set()),
        ("{% assign q = a | upcase %}{{ q }}", {"a"}, set()),
        ("{% capture q %}{{ a }}{% endcapture %}{{ q }}", {"a"}, set()),
        ("{{ a[b].c }}", {"a", "b"}, set()),
        ("{{ items.size }} {{ items.first }}", {"items.size", "items.first"}, set()),
        ("{% raw %}{{ a }}{% endraw %}{% comment %}{{ b }}{% endcomment %}", set(), set()),
    ],
)
def test_what_a_template_needs(body: str, required: set[str], optional: set[str]) -> None:
    needs = publish(Source("sms", body)).needs
    assert {need.path for need in needs if not need.optional} == required
    assert {need.path for need in needs if need.optional} == optional


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "name (body, line 1), visit.time (body, line 1)"),
        ({"name": None, "visit": {"time": "nine"}}, "name (body, line 1)"),
        ({"name": "Ada", "visit": {}}, "visit.time (body, line 1)"),
        ({"name": "Ada", "visit": "secret"}, "visit.time (body, line 1)"),
        ({"name": "Ada", "visit": None}, "visit.time (body, line 1)"),
    ],
)
def test_missing_variables_are_named_with_their_place(variables: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused) as refused:
        publish(Source("sms", SMS)).check(variables)
    assert refused.value.code == "missing_variables"
    assert refused.value.message == f"variables lacks what the template needs: {named}."


def test_more_than_the_template_uses_is_accepted() -> None:
    version = publish(Source("sms", SMS))
    variables = {"name": "Ada", "visit": {"time": "nine"}, "more": 1}
    version.check(variables)
    assert version.render(variables).body == "Hi Ada, see you at nine."


def test_an_undefined_variable_is_never_an_empty_text() -> None:
    version = publish(Source("sms", "{% if a %}{% endif %}line one\n{{ a }}"))
    version.check({})
    with pytest.raises(Refused, match="does_not_render: The template's body, line 2"):
        version.render({})


@pytest.mark.parametrize(
    "body", ["{{ a", "{% if %}", "{% nosuch %}", "{{ a | nosuch }}", "{% include 'x' %}"]
)
def test_what_does_not_parse_is_refused_with_its_line(body: str) -> None:
    with pytest.raises(TemplateRefused) as refused:
        publish(Source("sms", f"first\n{body}")).render({"a": 1})
    assert (refused.value.code, refused.value.place, refused.value.line) == ("invalid_template", "body", 2)


def test_html_is_escaped_where_it_is_html_and_nowhere_else() -> None:
    version = publish(Source("email", body="<p>{{ a }}</p>", subject="{{ a }}", text="{{ a }}"))
    rendered = version.render({"a": "<b>&'\""})
    assert rendered.body == "<p>&lt;b&gt;&amp;&#39;&#34;</p>"
    assert (rendered.subject, rendered.text) == ("<b>&'\"", "<b>&'\"")


@given(st.text(max_size=40))
def test_no_line_break_gets_into_a_subject(value: str) -> None:
    subject = publish(Source("email", body="x", subject="To {{ a }}")).render({"a": value}).subject
    assert subject is not None
    assert len(subject.splitlines()) == 1
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in subject)


def test_every_email_has_a_text_part() -> None:
    body = "<style>p{}</style><h1>Hello</h1><p>Dear&nbsp;{{ n }}, <a href='https://x.test/a'>go</a></p><ul><li>one<li>two</ul>"
    assert publish(Source("email", body, "s")).render({"n": "Zoë & co"}).text == (
        "Hello\n\nDear Zoë & co, go (https://x.test/a)\n\n- one\n- two\n"
    )


def test_mjml_becomes_html_and_keeps_its_variables() -> None:
    body = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>Hello {{ n }}</mj-text>"
        "</mj-column></mj-section></mj-body></mjml>"
    )
    rendered = publish(Source("email", body, "s")).render({"n": "<Ada>"})
    assert "Hello &lt;Ada&gt;" in rendered.body
    assert "<table" in rendered.body
    assert rendered.text == "Hello <Ada>\n"


def test_mjml_that_is_none_is_refused() -> None:
    with pytest.raises(TemplateRefused, match="not valid MJML"):
        publish(Source("email", "<mjml><mj-body>", "s"))


@pytest.mark.parametrize("channel", ["email", "push", "in_app"])
def test_a_channel_with_a_title_needs_one(channel: str) -> None:
    with pytest.raises(TemplateRefused, match="needs a subject"):
        publish(Source(channel, "x"))


@pytest.mark.parametrize(
    ("channel", "body", "place"),
    [
        ("sms", "{{ d }}", "body"),
        ("sms", "{% assign x = d.name | upcase %}{{ x }}", "body"),
        ("sms", "{% for x in d %}{{ x }}{% endfor %}", "body"),
        ("push", "{{ d }}", "body"),
    ],
)
def test_phi_on_an_open_surface_is_refused_when_published(channel: str, body: str, place: str) -> None:
    with pytest.raises(TemplateRefused) as refused:
        publish(Source(channel, body, subject="x", classes={"d": "phi"}))
    assert (refused.value.code, refused.value.place, refused.value.line) == ("phi_on_open_surface", place, 1)


def test_phi_may_stand_where_it_is_cleared() -> None:
    publish(Source("email", "{{ d }}", subject="Your visit", classes={"d": "phi"}))
    publish(Source("in_app", "{{ d }}", subject="{{ d }}", classes={"d": "phi"}))


def test_undeclared_counts_as_phi_in_a_hipaa_message() -> None:
    version = publish(Source("sms", "{{ a }} {{ b }}", classes={"a": "public"}))
    with pytest.raises(TemplateRefused, match="b is PHI"):
        version.check_surfaces(undeclared_is_phi=True)


def test_a_push_beyond_what_services_carry_is_refused() -> None:
    with pytest.raises(Refused, match="at most 4096"):
        publish(Source("push", "{{ a }}", subject="t")).render({"a": "é" * 2048})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({"a": VALUES, "b": VALUES}))
def test_any_value_renders_or_is_refused(variables: dict[str, Any]) -> None:
    version = publish(
        Source(
            "sms",
            "{{ a.x | times: 3 | date: '%Y' }}{% for i in b %}{{ i | join: b }}{% endfor %}{{ a | size }}",
        )
    )
    try:
        version.check(variables)
        version.render(variables)
    except Refused as refused:
        code = refused.code
    else:
        code = "does_not_render"
    assert code in {"missing_variables", "does_not_render"}


def test_a_name_with_a_dot_is_one_name() -> None:
    version = publish(Source("sms", "{{ user['home.city'] }}"))
    version.check({"user": {"home.city": "Rome"}})
    assert version.render({"user": {"home.city": "Rome"}}).body == "Rome"
    with pytest.raises(Refused, match="missing_variables"):
        version.check({"user": {"home": {"city": "Rome"}}})


@pytest.mark.parametrize(
    ("classes", "body"),
    [
        ({"patient": "public", "patient.dob": "phi"}, "{{ patient.dob.year }}"),
        ({"patient": "public", "patient.dob": "phi"}, "{{ patient.dob }}"),
        ({"patient": "public", "patient.dob": "phi"}, "{{ patient }}"),
        ({"patient": "public", "patient.dob": "phi"}, "{{ patient[key] }}"),
        ({"patient": "public", "patient.dob": "phi"}, "{% for p in patient %}{{ p[1] }}{% endfor %}"),
        ({"patient": "phi"}, "{{ patient.name }}"),
    ],
)
def test_phi_is_found_in_what_it_belongs_to_and_in_what_belongs_to_it(
    classes: dict[str, str], body: str
) -> None:
    with pytest.raises(TemplateRefused, match="phi_on_open_surface"):
        publish(Source("sms", body, classes=classes))


@pytest.mark.parametrize("body", ["{{ patient.name }}", "{{ patient.name.first }}"])
def test_the_nearest_declaration_counts(body: str) -> None:
    publish(Source("sms", body, classes={"patient": "phi", "patient.name": "public"}))


def test_a_preview_shows_what_is_missing_by_its_name() -> None:
    version = publish(
        Source("sms", "{{ name }} {{ visit.time | upcase }}{% for x in list %}{{ x.n }}{% endfor %}")
    )
    assert version.preview({"name": "Ada"})[0].body == "Ada [VISIT.TIME]"
    assert version.missing({"name": "Ada"}) == ["list", "visit.time"]


def test_html_that_is_nested_deeply_has_a_text_part() -> None:
    version = publish(Source("email", "<div>" * 5000 + "deep" + "</div>" * 5000, subject="s"))
    assert version.render({}).text == "deep\n"


PREHEADERS = [
    "<mjml><mj-head><mj-preview>{{ dx }}</mj-preview></mj-head><mj-body></mj-body></mjml>",
    '<div style="display:none">{{ dx }}</div><p>Hello</p>',
    "<span class='preheader'>{% if dx %}{{ dx }}{% endif %}</span>",
]


@pytest.mark.parametrize("body", PREHEADERS)
def test_a_preheader_is_as_open_as_the_subject(body: str) -> None:
    with pytest.raises(TemplateRefused, match="preheader"):
        publish(Source("email", body, subject="s", classes={"dx": "phi"}))
    publish(Source("email", body, subject="s", classes={"dx": "pii"}))
    publish(
        Source("email", f"<p>{{{{ dx }}}}</p>{body.replace('dx', 'x')}", subject="s", classes={"dx": "phi"})
    )


@pytest.mark.parametrize(
    ("source", "variables", "why"),
    [
        (Source("sms", "{% if a %}x{% endif %}"), {}, "Its body would be empty."),
        (Source("push", "x", subject="{{ a }}"), {"a": " \n"}, "Its subject would be empty."),
        (Source("sms", "{{ a }}"), {"a": "x" * 1531}, "The text message would have 11 segments"),
        (
            Source("push", "x", subject="s", action_url="{{ a }}"),
            {"a": "JavaScript:alert(1)"},
            "Its action_url",
        ),
        (Source("push", "{{ a }}", subject="s"), {"a": "x" * 4096}, "The push would have 4097 bytes"),
    ],
)
def test_what_no_provider_should_be_handed(source: Source, variables: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match="does_not_render") as refused:
        publish(source).render(variables)
    assert refused.value.message.startswith(why)


def test_the_missing_variable_is_named_where_the_template_spells_it() -> None:
    with pytest.raises(Refused, match=r"line 1: a\.b is missing"):
        publish(Source("sms", "{% if a.b %}{% endif %}{{ a.b }}")).render({"a": {}})
    with pytest.raises(Refused, match="a variable that it needs is missing"):
        publish(Source("sms", "{{ a[k] }}")).render({"a": {}, "k": "secret"})


def test_a_variable_deeper_than_any_request_is_refused_with_its_line() -> None:
    with pytest.raises(TemplateRefused, match="line 2: no variable is that deep"):
        publish(Source("sms", "x\n{{ a" + ".b" * 500 + " }}"))


@given(
    st.lists(st.sampled_from(["text ", "{{ a }}", "{{ b.c }}", "{{a}}{{b.c}}", "&<>", "{{ d.size }}", "{{ b['x y'] }}"])),
    st.dictionaries(
        st.sampled_from(["a", "b", "d"]),
        st.one_of(
            st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False), st.lists(st.text()),
            st.dictionaries(st.sampled_from(["c", "x y", "size"]), st.text() | st.integers() | st.none()),
        ),
    ),
    st.booleans(),
)  # fmt: skip
def test_the_short_way_says_what_liquid_says(
    pieces: list[str],
    variables: dict[str, Any],
    escape: bool,  # noqa: FBT001 - hypothesis fills them in order
) -> None:
    part = Part("".join(pieces), "body", escape=escape)
    filled = part._fill(variables)
    if filled is not None:
        assert filled == part._render(part.template, variables, 1.0)


def test_the_short_way_is_taken() -> None:
    assert (
        Part("Hi {{ name }}, {{ visit.time }}", "body")._fill({"name": "A", "visit": {"time": 9}})
        == "Hi A, 9"
    )
    assert Part("Hi {{ name }}", "body")._fill({"name": "x" * 300_000}) is None
    assert Part("Hi {{ name | upcase }}", "body")._fill({"name": "A"}) is None


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (Source("sms", "{% if 1 == 2 %}x{% endif %}"), "Its body would be empty."),
        (Source("sms", "x" * 1531), "The text message would have 11 segments"),
        (Source("push", "x", subject=" "), "Its subject would be empty."),
        (
            Source("sms", "{% for a in (1..1000000) %}{% for b in (1..1000000) %}x{% endfor %}{% endfor %}"),
            "",
        ),
    ],
)
def test_what_can_never_render_is_refused_when_it_is_published(source: Source, why: str) -> None:
    with pytest.raises(Refused, match="does_not_render") as refused:
        publish(source).prove_fixed()
    assert refused.value.message.startswith(why)


def test_what_depends_on_a_variable_is_left_to_who_gives_it() -> None:
    publish(Source("sms", "{% if a %}x{% endif %}")).prove_fixed()
    publish(Source("email", "<p>{{ unsubscribe_url }}</p>", subject="s")).prove_fixed()


PAGE = Secure("{{ title }}", "{{ finding }}")


@pytest.mark.parametrize(
    ("body", "page", "why"),
    [
        ("Hi", PAGE, "secure: nothing leads to it"),
        ("Hi\n{{ secure_link }}", None, "body, line 2: secure_link leads nowhere"),
        (
            "{{ secure_link }}",
            Secure("x", "{{ secure_link }}"),
            "secure.body, line 1: secure_link leads to this",
        ),
        ("{{ secure_link }}", Secure("x", "{% if %}"), "secure.body, line 1"),
    ],
)
def test_a_page_and_its_link_belong_together(body: str, page: Secure | None, why: str) -> None:
    with pytest.raises(TemplateRefused, match=f"The template's {why}"):
        publish(Source("sms", body, secure=page))


def test_a_page_is_a_cleared_surface_and_is_proved_with_the_rest() -> None:
    version = publish(Source("sms", "{{ secure_link }}", secure=PAGE, classes={"finding": "phi"}))
    assert version.variables == ["finding", "title"]
    given = {"title": "T", "secure_link": "https://x/s/1"}
    with pytest.raises(Refused, match=r"finding \(secure\.body, line 1\)"):
        version.prove(given, hipaa=True)
    version.prove(given | {"finding": "f"}, hipaa=True)
    assert version.render(given | {"finding": "f"}).body == "https://x/s/1"
    with pytest.raises(Refused, match="secure page would have an empty"):
        version.prove(given | {"finding": " "}, hipaa=True)


@pytest.mark.parametrize(
    "body",
    [
        "{{ secure_link | upcase }}",
        "{{ secure_link | truncate: 12 }}",
        "{% if secure_link %}Hi {{ name }}{% endif %}",
    ],
)
def test_a_link_that_leads_nowhere_is_refused(body: str) -> None:
    version = publish(Source("sms", body, secure=Secure("Title", "{{ finding }}")))
    given = {"name": "Ada", "finding": "f", "secure_link": "https://comms.test/s/abc"}
    with pytest.raises(Refused, match="secure_link would not stand whole"):
        version.prove(given, hipaa=False)
