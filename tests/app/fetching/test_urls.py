"""How a URL is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UrlForbiddenError
from app.fetching.urls import MOST_URL, parse_url


@pytest.mark.parametrize(
    ("text", "key", "target"),
    [
        ("http://images.example", "http://images.example", "/"),
        ("HTTPS://Images.Example:443/A?b=c#d", "https://images.example", "/A?b=c"),
        ("http://images.example:80/", "http://images.example", "/"),
        ("https://images.example:80/", "https://images.example:80", "/"),
        ("http://images.example:/", "http://images.example", "/"),
        ("http://images.example.?a", "http://images.example", "/?a"),
        ("http://images.example#a@b", "http://images.example", "/"),
        ("http://images.example#\n", "http://images.example", "/"),
        ("  http://images.example/a b ", "http://images.example", "/a%20b"),
        ('http://images.example/%7Ea/é?x="<>\\^`{|}"&y=[1]', "http://images.example", None),
        ("http://bücher.example/", "http://xn--bcher-kva.example", "/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example", "/"),
        ("http://XN--bcher-KVA.example/", "http://xn--bcher-kva.example", "/"),
        ("http://images。example/", "http://images.example", "/"),
        ("http://a_b.example/", "http://a_b.example", "/"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", "/"),
        ("http://[::FFFF:127.0.0.1]/", "http://127.0.0.1", "/"),
        ("https://[2606:4700:0::1111]:8443/x", "https://[2606:4700::1111]:8443", "/x"),
        ("http://\uff11\uff12\uff17.0.0.1/", "http://127.0.0.1", "/"),
    ],
)
def test_what_is_asked_and_of_whom(text: str, key: str, target: str | None) -> None:
    url = parse_url(text)
    assert url.origin.key == key
    assert url.origin.key.endswith(f"//{url.origin.authority}")
    assert target is None or url.target == target
    assert url.target.isascii()
    assert not set(url.target) & set(' "<>\\^`{|}')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("images.example/a", "does not begin with http:// or https://"),
        ("ws://images.example/a", "does not begin with http:// or https://"),
        ("http://a:b@images.example/", "user name"),
        ("http://images.example/\x7f", "control character"),
        ("http://images.example/\ud800", "character that is none"),
        ("http://images.example/" + "a" * MOST_URL, f"more than {MOST_URL}"),
        ("http://images.example/" + "é" * 2000, f"more than {MOST_URL}"),
        ("http://images.example/é\n", "control character"),
        ("http://\ud800.example/", "no host name"),
        ("http://ex ample/", "no host name"),
        ("http://-a.example/", "no host name"),
        ("http://" + "a" * 64 + ".example/", "no host name"),
        ("http://" + "a." * 127 + "example/", "no host name"),
        ("http://" + "a." * 4000 + "example/", "no host name"),
        ("http://a..example/", "no host name"),
        ("http://xn--\u00fc.example/", "no host name"),
        ("http://a.example:65536/", "no host name"),
        ("http://a.example:٣/", "no host name"),
    ],
)
def test_what_is_no_url_is_told_so(text: str, why: str) -> None:
    with pytest.raises(UrlForbiddenError, match=why):
        parse_url(text)


# What a stranger would try who knows where parsers go wrong.
PIECES = [*"/\\@:%#?. \t\u3002é", "http:", "https:", "//", "80", "127.0.0.1", "[::1]", "a.example", "0x7f"]
pieces = st.lists(st.sampled_from(PIECES), max_size=12)


@given(st.one_of(st.text(), pieces.map("".join), pieces.map(lambda each: "http://" + "".join(each))))
def test_whatever_is_read_is_fit_to_be_sent(text: str) -> None:
    try:
        url = parse_url(text)
    except UrlForbiddenError:
        return
    sent = f"GET {url.target} HTTP/1.1\r\nHost: {url.origin.authority}\r\n\r\n"
    assert sent.isascii()
    assert len(sent.split()) == 5
    assert url.target.startswith("/")
    assert "@" not in url.origin.authority
    # What is read once more is the same.
    assert parse_url(url.origin.key + url.target) == url
