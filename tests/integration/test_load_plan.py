"""The plan of a first load counts on the server what a full render of the database makes, object by object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cdc.first_load import plan_of
from cdc.settings.config import Settings
from tests.integration.test_live_source import GRANTS, PASSWORD, USER
from tests.kit import schema
from tests.kit.full_render import State, full_render
from tests.kit.servers import Server
from tests.kit.shop import Shop
from tests.kit.shop_day import play

SINCE = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def base(server: Server) -> Iterator[dict[str, object]]:
    """[source] of a shop after a day, half of its orders placed long ago."""
    with server.database("shop") as database:
        server.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
        connection = server.connect(database=database)
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        play(shop, seed=5)
        server.run("UPDATE sales_order SET created_at = '2024-12-31 23:59:59' WHERE entity_id % 2", database=database)
        yield {
            "host": server.host, "port": server.port, "user": USER, "password": PASSWORD, "database": database,
            "server_id": 991,
        }  # fmt: skip
        connection.close()


def counted(state: State) -> dict[str, int]:
    return dict(Counter(one["type"] for one in state.values()))


def since(state: State) -> dict[str, int]:
    """Orders since the date, their lines, and what both refer to."""
    least = str(int(SINCE.timestamp() * 1000))
    orders = {
        key for key, one in state.items()
        if one["type"] == "DEAL" and int(one["properties"]["created_at"]) >= int(least)
    }  # fmt: skip
    lines = {key for key, one in state.items() if orders & {*one["associations"].get("DEAL", ())}}
    referred = {
        other for key in orders | lines for others in state[key]["associations"].values() for other in others
    }  # fmt: skip
    return counted({key: state[key] for key in orders | lines | referred})


MAPPINGS: list[dict[str, object]] = [
    {},
    {"deleted_customers": "guest", "subscribers": True},
    {"filter": {"websites": {"only": ["base"]}, "customer_groups": {"without": ["Wholesale"]}}},
    {"filter": {"stores": {"without": ["default"]}, "product_types": {"only": ["simple"]}}},
    {"filter": {"test_orders": [{"column": "customer_email", "contains": "a_"}, {"column": "state", "equals": "NEW"}]}},
]


@pytest.mark.parametrize("kind", ["bridge", "crm"])
def test_the_plan_is_what_a_full_render_makes(base: dict[str, object], kind: str, tmp_path: Path) -> None:
    """Contacts by id or by address, filters, subscribers, guests: no number is off by one."""
    for mapping in MAPPINGS:
        settings = Settings.model_validate({
            "source": base, "mapping": mapping, "sink": {"kind": kind, "access_token": "x", "api_key": "x"},
        })  # fmt: skip
        plan = plan_of(settings)
        made = counted(full_render(settings))
        assert {k.value: n for k, n in plan.objects.items() if n} == made, mapping
        assert plan.messages == plan.objects
        assert plan.rows["sales_order"] > 0
        assert plan.calls is not None


@pytest.mark.parametrize("kind", ["bridge", "crm"])
def test_a_date_counts_the_orders_since_and_what_they_refer_to(base: dict[str, object], kind: str) -> None:
    """What history.send withholds is not among the messages."""
    settings = Settings.model_validate({
        "source": base, "history": {"send": "2025-01-01"},
        "sink": {"kind": kind, "access_token": "x", "api_key": "x"},
    })  # fmt: skip
    plan = plan_of(settings)
    state = full_render(settings)
    assert {k.value: n for k, n in plan.messages.items() if n} == since(state)
    assert {k.value: n for k, n in plan.objects.items()} == counted(state)
