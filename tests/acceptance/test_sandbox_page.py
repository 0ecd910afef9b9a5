"""The sandbox's page in a real browser: both worlds, by hand, by keyboard and on a phone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cdc.model import ObjectType
from sinks.sandbox.server import SandboxServer, start
from tests.kit.browser import Page, open_page
from tests.kit.crm_client import Client
from tests.kit.sandbox_content import fill_bridge, fill_crm

WIDE, PHONE = (1300, 800), (390, 844)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page over a sandbox with content. ``ids``: record ids of the CRM."""

    page: Page
    server: SandboxServer
    ids: dict[str, str]

    async def open(self, fragment: str, size: tuple[int, int] = WIDE) -> None:
        """Load an address anew and wait until its list is drawn."""
        await self.page.size(*size)
        await self.page.goto(f"{self.server.url}/{fragment}")
        await self.page.until("document.querySelector('#list').children.length")

    async def text(self, selector: str) -> str:
        """What a person reads there."""
        found: str = await self.page.value(f"document.querySelector({json.dumps(selector)}).innerText")
        return found


@pytest.fixture
async def shown(browser: Path) -> AsyncIterator[Shown]:
    """A small shop in both worlds; at the end the page must have had no error."""
    server = await start(auto_validate=False)
    async with aiohttp.ClientSession() as session, open_page(browser) as page:
        ids = await fill_crm(Client(server, session))
        await fill_bridge(server)
        yield Shown(page, server, ids)
        assert page.errors == []
    await server.close()


LISTS = [
    "#crm/contacts",
    "#crm/deals",
    "#crm/products",
    "#crm/line_items",
    "#crm/requests",
    "#bridge/CONTACT",
    "#bridge/DEAL",
    "#bridge/PRODUCT",
    "#bridge/LINE_ITEM",
    "#bridge/errors",
    "#bridge/requests",
]


async def test_every_cell_of_every_list_shows_something(shown: Shown) -> None:
    """Each column has a value in the row of an object that has all its properties, and none shows a raw object."""
    for fragment in LISTS:
        await shown.open(fragment)
        rows: list[dict[str, str]] = await shown.page.value(
            "[...document.querySelectorAll('#list tbody tr')].map(row => Object.fromEntries("
            "[...row.cells].map(cell => [cell.dataset.column, cell.innerText.trim()])))"
        )
        assert rows, fragment
        full = max(rows, key=lambda row: sum(map(bool, row.values())))
        assert all(full.values()), (fragment, full)
        assert not any(
            word in text for row in rows for text in row.values() for word in ("undefined", "[object", "NaN")
        )


@pytest.mark.parametrize(("fragment", "column", "name"), [
    ("#crm/deals", "Contact", "Jane Roe"),
    ("#crm/line_items", "Deal", "#000000042"),
    ("#crm/line_items", "Product", "Bag"),
    ("#bridge/DEAL", "Contact", "Jane Roe"),
    ("#bridge/LINE_ITEM", "Deal", "#000000042"),
])  # fmt: skip
async def test_a_link_in_a_cell_leads_to_the_other_record(shown: Shown, fragment: str, column: str, name: str) -> None:
    """The cell names the record as people call it, and its link opens that record's detail."""
    await shown.open(fragment)
    link = f"document.querySelector('#list td[data-column={column}] a')"
    assert await shown.page.value(f"{link}.innerText") == name
    await shown.page.value(f"{link}.click()")
    await shown.page.until("!document.querySelector('#detail').hidden && document.querySelector('#detail h2')")
    heading = await shown.text("#detail h2")
    assert name in heading


async def test_a_deal_shows_contact_and_lines_and_values_as_people_read_them(shown: Shown) -> None:
    """Money with its currency, times by the clock, a stage by its label."""
    await shown.open(f"#crm/deals/{shown.ids['deals']}")
    await shown.page.until("document.querySelector('#detail h2')")
    text = await shown.text("#detail")
    for part in ("Jane Roe", "jane.roe@example.com", "Bag", "€119.80", "Closed Won", "Nov 30, 2026", "order-42"):
        assert part in text
    assert "1796040000000" not in text


async def test_a_contact_shows_all_its_keys_and_addresses(shown: Shown) -> None:
    """Also those of a contact that was merged into it."""
    people = shown.server.crm.people
    other = people.create(ObjectType.CONTACT, {"email": "j@example.com", "magento_key": "customer-9"})
    people.merge(ObjectType.CONTACT, shown.ids["contacts"], other.id)
    await shown.open(f"#crm/contacts/{shown.ids['contacts']}")
    await shown.page.until("document.querySelector('#detail h2')")
    text = await shown.text("#detail")
    for part in ("customer-7", "jane@example.com", "jane.roe@example.com", "j@example.com", f"merged from {other.id}"):
        assert part in text


async def test_on_a_phone_the_detail_opens_where_one_looks(shown: Shown) -> None:
    """A tapped row shows its detail at the top in place of the list, with the focus; one link leads back."""
    await shown.open("#crm/deals", PHONE)
    box: dict[str, float] = await shown.page.value(
        "(() => { const b = document.querySelector('#list tbody tr td:nth-child(2)').getBoundingClientRect();"
        " return {x: b.x + 5, y: b.y + 5}; })()"
    )
    await shown.page.click(box["x"], box["y"])
    await shown.page.until("document.querySelector('#detail h2')")
    top = await shown.page.value("document.querySelector('#detail h2').getBoundingClientRect().top")
    assert 0 <= top < PHONE[1]
    assert await shown.page.value("document.activeElement.id") == "detail"
    assert await shown.page.value("getComputedStyle(document.querySelector('#list')).display") == "none"
    assert await shown.page.value("document.documentElement.scrollWidth") <= PHONE[0]

    await shown.page.value("document.querySelector('#detail .back').click()")
    await shown.page.until("document.querySelector('#detail').hidden")
    assert await shown.page.value("getComputedStyle(document.querySelector('#list')).display") != "none"


async def test_rows_and_tabs_are_reached_by_the_keyboard(shown: Shown) -> None:
    """Tab goes through worlds, lists and rows, Enter opens, Escape closes; a new draw does not take the focus away."""
    await shown.open("#crm/deals")
    seen = []
    for _ in range(20):
        await shown.page.press("Tab")
        seen.append(await shown.page.value("document.activeElement.innerText || document.activeElement.id"))
        if seen[-1] == "#000000042":
            break
    assert any(text.startswith("Contacts") for text in seen)
    assert seen[-1] == "#000000042"

    shown.server.crm.people.create(ObjectType.DEAL, {"dealname": "#000000043"})  # the list is drawn anew
    await shown.page.until("document.querySelectorAll('#list tbody tr').length === 2")
    assert await shown.page.value("document.activeElement.innerText") == "#000000042"
    await shown.page.press("Enter")
    await shown.page.until("document.querySelector('#detail h2')")
    assert await shown.page.value("location.hash") == f"#crm/deals/{shown.ids['deals']}"
    await shown.page.press("Escape")
    await shown.page.until("document.querySelector('#detail').hidden")


async def test_list_selection_and_search_stand_in_the_address(shown: Shown) -> None:
    """A reload shows the same; a person's name finds her deals."""
    await shown.open("#crm/deals")
    await shown.page.value("document.querySelector('#q').focus()")
    await shown.page.write("jane")
    await shown.page.until("location.hash.endsWith('?q=jane')")
    await shown.page.value("document.querySelector('#list tbody a').click()")
    await shown.page.until("document.querySelector('#detail h2')")
    await shown.page.value("history.back()")
    await shown.page.until("document.querySelector('#detail').hidden")
    await shown.page.reload()
    await shown.page.until("document.querySelector('#q').value === 'jane' && document.querySelector('#list tbody tr')")
    assert "#000000042" in await shown.text("#list")
    assert await shown.page.value("document.querySelector('#tabs [aria-current]').innerText.startsWith('Deals')")
    await shown.open("#crm/deals?q=nobody")
    assert "matches the search" in await shown.text("#list")


@pytest.mark.parametrize(("fragment", "parts"), [
    ("#crm/requests", ["magento_key", "COMPLETE"]),
    ("#bridge/requests", ["integratorObjectId", "jane@example.com"]),
])  # fmt: skip
async def test_a_request_opens_with_its_bodies(shown: Shown, fragment: str, parts: list[str]) -> None:
    """The body as it was sent and the answer; never a token or key."""
    await shown.open(f"{fragment}?q={parts[-1].partition('@')[0]}")
    await shown.page.value("[...document.querySelectorAll('#list tbody a')].at(-1).click()")
    await shown.page.until("document.querySelector('#detail pre')")
    text = await shown.text("#detail")
    for part in parts:
        assert part in text
    for secret in ("Bearer", "hapikey"):
        assert secret not in text


async def test_nobody_is_kept_out(shown: Shown, axe: str) -> None:
    """axe-core finds nothing in a list, a detail and a request of both worlds, dark and light, wide and on a phone."""
    for fragment in (f"#crm/deals/{shown.ids['deals']}", "#bridge/errors", "#bridge/requests/1", "#crm/deals?q=nobody"):
        for size in (WIDE, PHONE):
            await shown.open(fragment, size)
            await shown.page.until("!location.hash.match(/\\d$/) || document.querySelector('#detail h3')")
            for scheme in ("light", "dark"):
                await shown.page.color_scheme(scheme)
                assert await shown.page.barriers(axe) == [], (fragment, size, scheme)
    await shown.page.value("document.querySelector('main').append(new Image())")
    assert [line.partition(" at ")[0] for line in await shown.page.barriers(axe)] == ["image-alt"]  # it can find some


async def test_an_empty_page_says_what_fills_it(browser: Path) -> None:
    """The command with this sandbox's own address, per world."""
    server = await start(auto_validate=False)
    async with open_page(browser) as page:
        for fragment, kind in (("#crm/deals", "crm"), ("#bridge/DEAL", "bridge")):
            await page.goto(f"{server.url}/{fragment}")
            await page.until("document.querySelector('#list code')")
            text: Any = await page.value("document.querySelector('#list').innerText")
            assert f"magento-cdc run --set sink.kind={kind} --set sink.base_url={server.url}" in text
    await server.close()


async def test_a_text_from_outside_is_shown_and_never_run(shown: Shown) -> None:
    """A name with markup in it is text."""
    name = "<img src=x onerror=document.title='owned'>"
    held = shown.server.crm.people.create(ObjectType.CONTACT, {"firstname": name, "email": "m@example.com"})
    await shown.open(f"#crm/contacts/{held.id}")
    await shown.page.until("document.querySelector('#detail h2')")
    assert await shown.text("#detail h2") == name
    assert await shown.page.value("document.title") == "magento-cdc sandbox"
