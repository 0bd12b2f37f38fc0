"""The page where no other one is configured."""

from html.parser import HTMLParser

from wispy.config.schema import Config
from wispy.frontend.landing import landing_page


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append(dict(attrs)["src"])

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_the_objects_and_loads_the_client() -> None:
    page = Page(landing_page(["sample", "motor"], Config()))
    assert "Served here: sample, motor" in page.text
    assert "rpc.sample.$describe()" in page.text
    assert page.scripts == ["/wispyjs/rpc.js"]


def test_without_an_object_it_still_shows_how() -> None:
    page = Page(landing_page([], Config()))
    assert "no object yet" in page.text
    assert "rpc.sample." in page.text


def test_who_is_not_known_is_told_no_names() -> None:
    page = Page(landing_page(None, Config()))
    assert "Served here: what one has to log in for" in page.text


def test_the_base_path_is_respected() -> None:
    assert Page(landing_page([], Config(base_path="/lab"))).scripts == ["/lab/wispyjs/rpc.js"]


def test_a_name_is_never_markup() -> None:
    """Names come from Redis."""
    name = "<script src=x>"
    page = Page(landing_page([name], Config()))
    assert page.scripts == ["/wispyjs/rpc.js"]
    assert name in page.text
