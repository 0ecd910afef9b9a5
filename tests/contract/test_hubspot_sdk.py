"""HubSpot's own client for Python against the sandbox: a client that nobody here wrote reads and writes as it expects.

It speaks versions 3 and 4, which the sandbox serves by the handlers of the dated version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cdc.model import ObjectType
from tests.kit.canary import API_KEY
from tests.kit.sandbox import SandboxThread

hubspot = pytest.importorskip("hubspot", reason="hubspot-api-client is not installed: make setup installs it")
contacts = pytest.importorskip("hubspot.crm.contacts")
associations = pytest.importorskip("hubspot.crm.associations.v4")
properties = pytest.importorskip("hubspot.crm.properties")
pipelines = pytest.importorskip("hubspot.crm.pipelines")


@pytest.fixture
def sandbox() -> Iterator[SandboxThread]:
    """A new account."""
    running = SandboxThread()
    yield running
    running.close()


@pytest.fixture
def client(sandbox: SandboxThread) -> Any:
    """The official client with the sandbox's token."""
    return hubspot.HubSpot(access_token=API_KEY, host=sandbox.url)


def make_key(client: Any, kind: str, group: str) -> None:
    """Our unique property, made by the official client."""
    body = properties.PropertyCreate(
        name="magento_key", label="Key", group_name=group, type="string", field_type="text", has_unique_value=True
    )
    made = client.crm.properties.core_api.create(object_type=kind, property_create=body)
    assert made.has_unique_value


def upsert(client: Any, *people: tuple[str, dict[str, str]]) -> Any:
    """A batch upsert of contacts by our key."""
    inputs = [
        contacts.SimplePublicObjectBatchInputUpsert(
            id=key, id_property="magento_key", properties=values, object_write_trace_id=key
        )
        for key, values in people
    ]
    batch = contacts.BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs)
    return client.crm.contacts.batch_api.upsert(batch_input_simple_public_object_batch_input_upsert=batch)


def test_a_batch_upsert_answers_in_its_models(client: Any) -> None:
    """Status, ids, whether new, times and trace ids come out as the client's own types."""
    make_key(client, "contacts", "contactinformation")
    for is_new in (True, False):
        found = upsert(client, ("k1", {"email": "Ann@example.com"}), ("k2", {"email": "bob@example.com"}))
        assert (found.status, len(found.results)) == ("COMPLETE", 2)
        assert [result.new for result in found.results] == [is_new, is_new]
        assert found.results[0].created_at.tzinfo is not None
    assert {result.properties["email"] for result in found.results} == {"ann@example.com", "bob@example.com"}


def test_a_batch_in_part_is_the_other_model(client: Any, sandbox: SandboxThread) -> None:
    """207 becomes the response with errors: category, context with trace id and existing id."""
    make_key(client, "contacts", "contactinformation")
    held = sandbox.crm.people.create(ObjectType.CONTACT, {"email": "ann@example.com"})
    found = upsert(client, ("k1", {"email": "ann@example.com"}), ("k2", {"email": "bob@example.com"}))

    assert type(found).__name__ == "BatchResponseSimplePublicUpsertObjectWithErrors"
    (error,) = found.errors
    assert (found.num_errors, error.category) == (1, "CONFLICT")
    assert error.context == {"existingId": [held.id], "objectWriteTraceId": ["k1"]}


def test_read_update_archive(client: Any) -> None:
    """By our key, by id, and gone afterwards: 404 is the client's exception."""
    make_key(client, "contacts", "contactinformation")
    upsert(client, ("k1", {"email": "ann@example.com"}))
    read = contacts.BatchReadInputSimplePublicObjectId(
        inputs=[contacts.SimplePublicObjectId(id="k1")],
        id_property="magento_key",
        properties=["email"],
        properties_with_history=[],
    )
    (held,) = client.crm.contacts.batch_api.read(batch_read_input_simple_public_object_id=read).results
    change = contacts.SimplePublicObjectInput(properties={"city": "Ulm"})
    basic = client.crm.contacts.basic_api
    assert basic.update(contact_id=held.id, simple_public_object_input=change).properties["city"] == "Ulm"
    basic.archive(contact_id=held.id)
    with pytest.raises(contacts.ApiException) as caught:
        basic.get_by_id(contact_id=held.id)
    assert caught.value.status == 404
    assert basic.get_by_id(contact_id=held.id, archived=True).archived_at is not None


def test_pages_and_search(client: Any, sandbox: SandboxThread) -> None:
    """``get_all`` walks through all pages; search finds once the index has caught up."""
    sandbox.crm.account.behaviour.search_lag_ms = -1
    for number in range(250):
        sandbox.crm.people.create(ObjectType.CONTACT, {"email": f"{number}@example.com"})
    assert len(client.crm.contacts.get_all()) == 250
    wanted = contacts.PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "email", "operator": "EQ", "value": "7@example.com"}]}]
    )
    assert client.crm.contacts.search_api.do_search(public_object_search_request=wanted).total == 1


def test_merge_and_gdpr_delete(client: Any, sandbox: SandboxThread) -> None:
    """The merged record is the client's model; a GDPR delete gives nothing."""
    first, second = (sandbox.crm.people.create(ObjectType.CONTACT, {"email": f"{n}@example.com"}).id for n in "ab")
    body = contacts.PublicMergeInput(primary_object_id=first, object_id_to_merge=second)
    assert client.crm.contacts.basic_api.merge(public_merge_input=body).id == first
    client.crm.contacts.basic_api.purge(public_gdpr_delete_input=contacts.PublicGdprDeleteInput(object_id=first))
    assert sandbox.crm.account.records.count(ObjectType.CONTACT) == 0


def test_associations(client: Any, sandbox: SandboxThread) -> None:
    """Version 4: default, with types, read, archive, one pair; ids and type ids as the client's models want them."""
    people = sandbox.crm.people
    deal = people.create(ObjectType.DEAL, {"dealname": "#1"}).id
    ann, bob = (people.create(ObjectType.CONTACT, {"email": f"{name}@example.com"}).id for name in ("ann", "bob"))
    batch, basic = client.crm.associations.v4.batch_api, client.crm.associations.v4.basic_api
    ids = associations.PublicObjectId
    pair = associations.PublicDefaultAssociationMultiPost(_from=ids(id=deal), to=ids(id=ann))
    inputs = associations.BatchInputPublicDefaultAssociationMultiPost(inputs=[pair])
    made = batch.create_default("deals", "contacts", batch_input_public_default_association_multi_post=inputs)
    assert [result.association_spec.association_type_id for result in made.results] == [3, 4]

    types = [associations.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=3)]
    post = associations.PublicAssociationMultiPost(_from=ids(id=deal), to=ids(id=bob), types=types)
    body = associations.BatchInputPublicAssociationMultiPost(inputs=[post])
    assert len(batch.create("deals", "contacts", batch_input_public_association_multi_post=body).results) == 1

    wanted = associations.BatchInputPublicFetchAssociationsBatchRequest(
        inputs=[associations.PublicFetchAssociationsBatchRequest(id=deal)]
    )
    read = batch.get_page("deals", "contacts", batch_input_public_fetch_associations_batch_request=wanted)
    assert {str(one.to_object_id) for one in read.results[0].to} == {ann, bob}

    gone = associations.PublicAssociationMultiArchive(_from=ids(id=deal), to=[ids(id=ann)])
    body = associations.BatchInputPublicAssociationMultiArchive(inputs=[gone])
    batch.archive("deals", "contacts", batch_input_public_association_multi_archive=body)
    basic.archive("deals", deal, "contacts", bob)
    assert basic.get_page("deals", deal, "contacts").results == []
    basic.create_default("deals", deal, "contacts", ann)
    assert [str(one.to_object_id) for one in basic.get_page("deals", deal, "contacts").results] == [ann]


def test_an_unknown_end_stands_among_the_errors(client: Any, sandbox: SandboxThread) -> None:
    """The default association answers 200 with errors in it."""
    deal = sandbox.crm.people.create(ObjectType.DEAL, {"dealname": "#1"}).id
    ids = associations.PublicObjectId
    pair = associations.PublicDefaultAssociationMultiPost(_from=ids(id=deal), to=ids(id="1"))
    inputs = associations.BatchInputPublicDefaultAssociationMultiPost(inputs=[pair])
    batch = client.crm.associations.v4.batch_api
    found = batch.create_default("deals", "contacts", batch_input_public_default_association_multi_post=inputs)
    assert found.results == []


def test_properties_and_groups(client: Any) -> None:
    """Create, batch create in part, read, change, archive; a taken name is the client's exception with 409."""
    api = client.crm.properties
    group = properties.PropertyGroupCreate(name="magento", label="Magento", display_order=1)
    assert api.groups_api.create("deals", property_group_create=group).name == "magento"
    body = properties.PropertyCreate(
        name="magento_group", label="Group", group_name="magento", type="enumeration", field_type="select",
        options=[properties.OptionInput(label="Retail", value="retail", hidden=False, display_order=0)],
    )  # fmt: skip
    made = api.core_api.create("deals", property_create=body)
    assert [option.value for option in made.options] == ["retail"]
    with pytest.raises(properties.ApiException) as caught:
        api.core_api.create("deals", property_create=body)
    assert caught.value.status == 409

    names = [properties.PropertyName(name="magento_group"), properties.PropertyName(name="dealname")]
    wanted = properties.BatchReadInputPropertyName(inputs=names, archived=False)
    assert len(api.batch_api.read("deals", batch_read_input_property_name=wanted).results) == 2
    change = properties.PropertyUpdate(label="Customer group")
    assert api.core_api.update("deals", "magento_group", property_update=change).label == "Customer group"
    api.core_api.archive("deals", "magento_group")
    assert "magento_group" not in [one.name for one in api.core_api.get_all("deals").results]
    api.groups_api.archive("deals", "magento")


def test_pipelines(client: Any) -> None:
    """Create with stages, add and change a stage, delete."""
    stage = pipelines.PipelineStageInput(label="Open", display_order=0, metadata={"probability": "0.1"})
    body = pipelines.PipelineInput(label="Magento", display_order=1, stages=[stage])
    api, stages = client.crm.pipelines.pipelines_api, client.crm.pipelines.pipeline_stages_api
    made = api.create("deals", pipeline_input=body)
    assert [one.label for one in made.stages] == ["Open"]
    won = pipelines.PipelineStageInput(label="Shipped", display_order=1, metadata={"probability": "1.0"})
    added = stages.create("deals", made.id, pipeline_stage_input=won)
    assert added.metadata["isClosed"] == "true"
    patch = pipelines.PipelineStagePatchInput(label="Sent", metadata={"probability": "1.0"})
    assert stages.update("deals", made.id, added.id, pipeline_stage_patch_input=patch).label == "Sent"
    assert len(api.get_all("deals").results) == 2
    api.archive("deals", made.id)
    assert [one.id for one in api.get_all("deals").results] == ["default"]


@pytest.mark.parametrize(("fault", "status"), [({"status": 429, "policy": "DAILY"}, 429), ({"status": 502}, 502)])
def test_faults_are_its_exceptions(client: Any, sandbox: SandboxThread, fault: dict[str, Any], status: int) -> None:
    """Status and body reach the caller."""
    sandbox.crm.faults.add(fault)
    with pytest.raises(contacts.ApiException) as caught:
        client.crm.contacts.basic_api.get_page()
    assert caught.value.status == status
    assert '"status":"error"' in caught.value.body


def test_a_wrong_token_is_refused(sandbox: SandboxThread) -> None:
    """401 INVALID_AUTHENTICATION."""
    stranger = hubspot.HubSpot(access_token="wrong", host=sandbox.url)
    with pytest.raises(contacts.ApiException) as caught:
        stranger.crm.contacts.basic_api.get_page()
    assert caught.value.status == 401
    assert "INVALID_AUTHENTICATION" in caught.value.body
