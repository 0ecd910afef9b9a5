"""The operator's page in a real Chromium, over a real state: what it shows, what it changes, and for whom it works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cdc.settings.web import WebSettings
from cdc.status import DaemonView
from cdc.web.server import start_web
from tests.kit.browser import Page, open_page
from tests.kit.operator_page import EMAIL, TOKEN, filled_view

DESK, PHONE = (1280, 900), (390, 844)
SHOWN = "document.querySelector('#letters-body table') && document.querySelector('#charts svg')"


@asynccontextmanager
async def page_of(browser: Path, folder: Path, **web: Any) -> AsyncIterator[tuple[Page, str, DaemonView]]:
    """The open page, its address and the daemon's view; at the end the page must have had no error."""
    async with filled_view(folder, **web) as (view, metrics, settings):
        server = await start_web(view, metrics, settings)
        url = f"http://127.0.0.1:{server.port}/"
        try:
            async with open_page(browser) as page:
                await page.size(*DESK)
                await page.goto(url)
                await page.until(SHOWN)
                yield page, url, view
                assert page.errors == []
        finally:
            await server.close()


async def text_of(page: Page, selector: str) -> str:
    """What a person reads there."""
    found: str = await page.value(f"document.querySelector({selector!r}).innerText")
    return found


async def test_the_page_says_what_an_operator_wants_first(browser: Path, tmp_path: Path) -> None:
    """State, ends, charts of an hour, outbox by type and cause, dead letters with advice, held deletions, drift."""
    async with page_of(browser, tmp_path) as (page, _, view):
        assert await text_of(page, "#state") == "ready"
        assert await text_of(page, "#ends") == "binlog 127.0.0.1:3306/shop → bridge https://api.hubapi.com"
        charts = await page.value(
            "[...document.querySelectorAll('#charts svg')].map(s => s.getAttribute('aria-label'))"
        )
        assert [label.partition(" over the last hour: now ")[0] for label in charts] == [
            "Read lag", "Accepted a second", "Commit to acceptance", "Outbox",
        ]  # fmt: skip
        lines = await page.value("[...document.querySelectorAll('#charts path')].map(p => p.getAttribute('d').length)")
        assert len(lines) == 6
        assert min(lines) > 1000  # a point of each ten seconds
        for place, words in {
            "#outbox-body": (
                "Contacts",
                "Deals",
                "waits for customer-5, which is not accepted yet",
                "1 wait for another",
            ),
            "#letters-body": ("magento-order-42", "UNKNOWN_ERROR", "read the detail", "magento-product-8"),
            "#held-body": ("Deals: 2, Products: 1", "mend the cause"),
            "#details-body": ("249,120 of 250,000 left today", "1 missing, 2 differing", "alone", "free"),
        }.items():
            text = await text_of(page, place)
            assert all(word in text for word in words), (place, text)
        assert EMAIL not in await page.value("document.documentElement.outerHTML")
        load = "{phase: 'send', done: 31200, expected: 66758, per_s: 100, left_s: 356}"
        text = await page.value(f"import('/page/page_lists.js').then(lists => lists.load({load}, {{}})[0].innerText)")
        assert text == "sending: 31,200 of 66,758 objects (46 %), 100 a second, about 6 min left of this step"

        view.is_stopping = True
        await page.until("document.querySelector('#state').innerText === 'not ready'")
        assert "stopping: a signal came" in await text_of(page, "#reasons")


async def test_an_object_is_looked_up_and_its_trace_is_a_time_line(browser: Path, tmp_path: Path) -> None:
    """By a name typed and by a link; the address keeps an order but never an email address; values stay hidden."""
    async with page_of(browser, tmp_path) as (page, _, _):
        await page.value("document.querySelector('#letters-body [data-focus$=order-42]').click()")
        await page.until("document.querySelector('#found ol')")
        assert await page.value("location.hash") == "#find/magento-order-42"
        assert await page.value("document.activeElement.id") == "found"
        text = await text_of(page, "#found")
        for words in ("magento-order-42 (DEAL)", "Changed in the shop", "Now: dead letter", "record 7001"):
            assert words in text
        link = await page.value("document.querySelector('#found a[target]').href")
        assert link == "https://app.hubspot.com/contacts/1/record/0-4/7001"

        await page.value("document.querySelector('#name').value = ''; document.querySelector('#name').focus()")
        await page.write(EMAIL)
        await page.press("Enter")
        await page.until("document.querySelector('#found h3')?.innerText.startsWith('magento-customer-5')")
        assert "example.com" not in await page.value("location.href")
        html = await page.value("document.querySelector('#found').outerHTML")
        assert EMAIL not in html
        assert "Ann" not in html

        await page.value(
            "document.querySelector('#name').value = 'order 4000'; document.querySelector('#find button').click()"
        )
        await page.until("document.querySelector('#found .bad')")
        assert "nothing is known by that name" in await text_of(page, "#found")
        await page.value("history.back()")
        await page.until("document.querySelector('#found h3')?.innerText.startsWith('magento-order-42')")
        # the browser's console notes the answer to the name that nothing goes by
        assert all("404" in error for error in page.errors), page.errors
        page.errors.clear()


async def test_changes_need_the_token_and_the_number(browser: Path, tmp_path: Path) -> None:
    """Without the token there is no button; a wrong token and a wrong number change nothing and say why."""
    async with page_of(browser, tmp_path) as (page, _, view):
        assert not await page.value("document.querySelectorAll('#letters-body button, #held-body button').length")

        async def give(token: str) -> None:
            await page.value(
                f"document.querySelector('#token').value = '{token}'; document.querySelector('#admin button').click()"
            )
            await page.until("document.querySelector('#letters-body button')")

        async def said(words: str) -> None:
            await page.until(f"document.querySelector('#said').innerText.includes({words!r})")

        operations = view.operations()
        assert operations is not None
        await give("another-token-of-the-tests")
        await page.value("document.querySelector('#letters-body button').click()")
        await said("the admin token is wrong")
        assert (await operations.waiting())["dead_letters"]["total"] == 2

        await give(TOKEN)
        await page.value("document.querySelector('#letters-body button').click()")
        await said("1 will be rendered and sent again")
        assert (await operations.waiting())["dead_letters"]["total"] == 1

        await page.value(
            "document.querySelector('#release-type').value = 'deal'; document.querySelector('#release-count').focus()"
        )
        await page.write("3")
        await page.press("Enter")
        await said("2 deletions are held now, not 3")
        assert (await operations.waiting())["held"]["total"] == 3
        await page.value(
            "document.querySelector('#release-count').value = ''; document.querySelector('#release-count').focus()"
        )
        await page.write("2")
        await page.press("Enter")
        await said("2 deletions are released")
        assert (await operations.waiting())["held"]["by_type"] == {"PRODUCT": 1}
        # the refused token is the one thing that the browser's console complains of, and the refused number
        assert all("401" in error or "409" in error for error in page.errors), page.errors
        page.errors.clear()


async def test_a_follower_says_why_it_changes_nothing_and_who_leads(browser: Path, tmp_path: Path) -> None:
    """A follower's state is a copy, so its page has no buttons, names the leader, and lists the members."""
    async with page_of(browser, tmp_path) as (page, _, view):
        output: Any = view._output
        members = [
            {"host": "cdc-0", "address": "10.0.0.5", "leads": True, "is_us": False},
            {"host": "cdc-1", "address": "10.0.0.6", "leads": False, "is_us": True},
        ]
        output.member = lambda: {"role": "follower", "generation": 3, "members": members, "members_fault": ""}
        await page.until("!document.querySelector('#follows').hidden")
        assert "The member at cdc-0 (10.0.0.5) leads: open its page." in await text_of(page, "#follows")
        assert not await page.value("document.querySelectorAll('#letters-body button, #held-body button').length")
        assert await page.value("document.querySelector('#admin').hidden")
        listed = await text_of(page, "#details-body")
        assert "cdc-0 (10.0.0.5), leads" in listed
        assert "cdc-1 (10.0.0.6), follows, this member" in listed

        output.member = lambda: {"role": "follower", "members": [], "members_fault": "Kafka does not describe it"}
        await page.until("document.querySelector('#follows').innerText.includes('not known here')")
        assert "not known: Kafka does not describe it" in await text_of(page, "#details-body")


async def test_a_load_that_stands_still_says_why(browser: Path, tmp_path: Path) -> None:
    """The reason of the log and of /status stands under the bar; a pause names the command that ends it."""
    async with page_of(browser, tmp_path) as (page, _, _):
        pace = "{phase: 'load', done: 5, expected: 10, per_s: 0, left_s: null}"

        async def shown(status: str) -> str:
            lists = "import('/page/page_lists.js')"
            text = f"lists.load({pace}, {status}).map(node => node.innerText).join('|')"
            return str(await page.value(f"{lists}.then(lists => {text})"))

        assert "Waits: replica db:3306 is 99 s behind" in await shown(
            "{load: {waits_for: 'replica db:3306 is 99 s behind'}}"
        )
        box = "{outbox: {total: 1, pending: {}}, delivery: {sending: {state: 'deletes', reason: '9 are held'}}}"
        lists = "import('/page/page_lists.js')"
        text = await page.value(f"{lists}.then(lists => lists.outbox({box}, null)[1].innerText)")
        assert text == "the circuit breaker holds messages back (deletes); the reason stands at the top of this page"
        assert "Waits: paused; magento-cdc import resume goes on" in await shown("{import: {is_paused: true}}")
        assert "Waits" not in await shown("{}")


async def test_nobody_is_kept_out(browser: Path, axe: str, tmp_path: Path) -> None:
    """axe-core finds nothing in dark and light, at a desk and on a phone, with everything open; nothing is cut off."""
    async with page_of(browser, tmp_path) as (page, url, _):
        for size in (DESK, PHONE):
            await page.size(*size)
            await page.goto(f"{url}#find/order-42")
            await page.until(f"document.querySelector('#found ol') && {SHOWN}")
            await page.value(
                f"document.querySelector('#token').value = '{TOKEN}'; document.querySelector('#admin button').click()"
            )
            await page.until("document.querySelector('#held-body form')")
            await page.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            for scheme in ("light", "dark"):
                await page.color_scheme(scheme)
                assert await page.barriers(axe) == [], (size, scheme)
            assert await page.value("document.documentElement.scrollWidth") <= size[0]
        await page.value("document.querySelector('main').append(new Image())")
        assert [line.partition(" at ")[0] for line in await page.barriers(axe)] == ["image-alt"]  # it can find some


async def test_all_of_it_is_reached_by_the_keyboard(browser: Path, tmp_path: Path) -> None:
    """Tab goes through links, objects, the look-up and the token, and a new draw takes the focus from nobody."""
    async with page_of(browser, tmp_path) as (page, _, view):
        seen: list[str] = []
        for _ in range(24):
            await page.press("Tab")
            seen.append(await page.value("(e => e.id || e.innerText)(document.activeElement)"))
            if seen[-1] == "token":
                break
        assert {"Last hour", "magento-order-41", "magento-order-42", "name", "Look up", "token"} <= set(seen)

        await page.value("document.querySelector('#letters-body [data-focus$=product-8]').focus()")
        operations = view.operations()
        assert operations is not None
        await operations.retry([], "UNKNOWN_ERROR")
        await page.until("document.querySelectorAll('#letters-body tbody tr').length === 1")
        assert await page.value("document.activeElement.innerText") == "magento-product-8"


async def test_a_page_without_a_token_in_the_settings_says_how_to_change_things(browser: Path, tmp_path: Path) -> None:
    """It only looks; where values may be shown, the trace shows them."""
    async with page_of(browser, tmp_path, admin_token=WebSettings().admin_token, show_values=True) as (page, url, _):
        assert "web.admin_token is not set" in await text_of(page, "#changes")
        await page.goto(f"{url}#find/customer-5")
        await page.until("document.querySelector('#found details')")
        await page.value("document.querySelector('#found details').open = true")
        assert EMAIL in await text_of(page, "#found")
