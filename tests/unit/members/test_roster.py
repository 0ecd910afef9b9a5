"""The members that Kafka's group knows, as people read them."""

from __future__ import annotations

from cdc.members.roster import Roster, RosterEntry, client_id, entries


def test_a_member_is_known_by_its_host_and_the_beginning_of_its_id() -> None:
    """What ``client_id`` writes, ``entries`` reads; clients that are not ours keep their address alone."""
    ours = client_id("0123456789abcdef")
    found = entries(
        [("consumer-1", ours, "/10.0.0.5", b"", b""), ("consumer-2", "another program", "/10.0.0.6", b"", b"")]
    )

    assert found[0] == RosterEntry("", "10.0.0.6", "")
    assert found[1].address == "10.0.0.5"
    assert found[1].host
    assert found[1].id == "01234567"


def test_the_leader_and_this_member_are_marked() -> None:
    """By their ids; a client without an id is neither, even if no leader is known."""
    roster = Roster({}, "magento.leader.bridge")
    roster._entries = [RosterEntry("one", "10.0.0.5", "01234567"), RosterEntry("", "10.0.0.6", "")]

    seen = roster.as_list("0123456789abcdef", "")
    assert [(one["is_us"], one["leads"]) for one in seen] == [(True, False), (False, False)]
    seen = roster.as_list("89abcdef", "0123456789abcdef")
    assert [(one["is_us"], one["leads"]) for one in seen] == [(False, True), (False, False)]
