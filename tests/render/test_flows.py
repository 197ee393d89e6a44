"""Health data is followed to where it is shown, through whatever it passes."""

from __future__ import annotations

import pytest

from comms.domain.errors import TemplateRefused
from comms.render.versions import Source, publish

HIDDEN = "<div style='display:none'>{}</div>"


def mail(body: str) -> Source:
    return Source("email", body, subject="s", classes={"finding": "phi", "things": "phi"})


@pytest.mark.parametrize(
    "body",
    [
        HIDDEN.format("{{ finding | upcase | slice: 0, 3 }}"),
        "{% assign x = finding %}" + HIDDEN.format("{{ x }}"),
        "{% assign x = finding | append: 'y' %}{% assign z = x %}" + HIDDEN.format("{{ z }}"),
        "{% capture x %}{{ finding }}{% endcapture %}" + HIDDEN.format("{{ x }}"),
        "{% capture x %}{% if finding %}1{% endif %}{% endcapture %}" + HIDDEN.format("{{ x }}"),
        "{% capture x %}{% for t in things %}{{ t }}{% endfor %}{% endcapture %}" + HIDDEN.format("{{ x }}"),
        "{% if finding == 'x' %}" + HIDDEN.format("Positive") + "{% endif %}",
        "{% if a %}a{% elsif finding %}b{% else %}" + HIDDEN.format("c") + "{% endif %}",
        "{% unless finding %}" + HIDDEN.format("c") + "{% endunless %}",
        "{% case finding %}{% when 1 %}" + HIDDEN.format("c") + "{% endcase %}",
        "{% case a %}{% when finding %}x{% else %}" + HIDDEN.format("c") + "{% endcase %}",
        "{% for t in things %}" + HIDDEN.format("{{ t.name }}") + "{% endfor %}",
        "{% for t in things %}" + HIDDEN.format("one more") + "{% endfor %}",
        "{% for i in (1..finding) %}" + HIDDEN.format("{{ i }}") + "{% endfor %}",
        "{% if finding %}{% assign x = 1 %}{% endif %}" + HIDDEN.format("{{ x | default: 2 }}"),
        "{% for a in list %}{% if finding %}{% break %}{% endif %}" + HIDDEN.format("c") + "{% endfor %}",
        "{% if finding %}{% increment n %}{% endif %}" + HIDDEN.format("{% increment n %}"),
        "{% if finding %}{% cycle 'a', 'b' %}{% endif %}" + HIDDEN.format("{% cycle 'a', 'b' %}"),
        "{% for a in list %}"
        + HIDDEN.format("{% ifchanged %}{{ finding }}{% endifchanged %}")
        + "{% endfor %}",
        "{% for i in list %}"
        + HIDDEN.format("{{ y }}")
        + "{% assign y = x %}{% assign x = finding %}{% endfor %}",
        "{% liquid assign x = finding %}" + HIDDEN.format("{{ x }}"),
        HIDDEN.format("{% liquid echo finding %}"),
        "{% assign x = finding %}" + HIDDEN.format("{{ [key] }}"),
        "{% assign k = finding %}" + HIDDEN.format("{{ labels[k] }}"),
        "<mjml><mj-head><mj-preview>{{ finding }}</mj-preview></mj-head><mj-body></mj-body></mjml>",
    ],
)
def test_whatever_reaches_a_preheader_counts_as_shown_there(body: str) -> None:
    with pytest.raises(TemplateRefused, match=r"preheader, line \d+: (finding|things) is PHI"):
        publish(mail(body))


@pytest.mark.parametrize(
    "body",
    [
        HIDDEN.format("Hello {{ name }}") + "<p>{{ finding }}</p>",
        "{% assign x = finding %}{% assign y = name %}" + HIDDEN.format("{{ y }}") + "{{ x }}",
        HIDDEN.format("{% for t in days %}{{ t }}{% endfor %}") + "{% for t in things %}{{ t }}{% endfor %}",
        "{% for t in things %}{{ t }}{% endfor %}" + HIDDEN.format("{% for t in days %}{{ t }}{% endfor %}"),
        "{% for t in days %}" + HIDDEN.format("{{ t }}") + "{{ finding }}{% endfor %}",
        "{% if finding %}<p>{{ finding }}</p>{% endif %}" + HIDDEN.format("See inside"),
        "{% if finding %}{% capture x %}{{ finding }}{% endcapture %}{{ x }}{% endif %}"
        + HIDDEN.format("Hi"),
    ],
)
def test_what_stays_in_the_body_may_stay(body: str) -> None:
    publish(mail(body))


def test_a_long_template_is_followed_in_time() -> None:
    """One that is made to be slow: each name is what the next one was."""
    chain = "".join("{% assign x" + str(n) + " = x" + str(n + 1) + " %}" for n in range(3000))
    body = (
        "{% for i in (1..2) %}"
        + chain
        + "{% assign x3000 = finding %}{% endfor %}"
        + HIDDEN.format("{{ x0 }}")
    )
    with pytest.raises(TemplateRefused, match="is PHI"):
        publish(mail(body))
