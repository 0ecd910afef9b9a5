"""Properties made from one column each, and conversions whose results are remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.model import Value
from mappers import money
from mappers.currency import BASE
from mappers.objects import contact, customer, line_item, order, product
from mappers.plain_columns import PlainColumns
from mappers.remembered import KEPT, LONGEST, remembered

GROUPS = {
    "line item": line_item.PLAIN,
    "line item's order": line_item.OF_ORDER,
    "order": order.PLAIN,
    "customer": customer.PLAIN,
    "address": contact.OF_ADDRESS,
    "product": product.PLAIN,
}
_ODD: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.binary(max_size=6),
    st.sampled_from(
        ("", " a ", "59.9000", "-0.0000", "1e3", "NaN", "0000-00-00", "2026-02-29 10:00:00", "2026-01-31 23:59:59.5",
         "2026-01-31T10:00:00+02:00", "a\nb", "Ann@Example.COM", "1" * 60, 1, 1.0, True)
    ),
)  # fmt: skip


def _made(make: Callable[[], Mapping[str, str]]) -> Mapping[str, str] | str:
    try:
        return make()
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("in_base", [False, True], ids=["order's currency", "base currency"])
@given(data=st.data())
def test_plain_columns_are_their_conversions_one_by_one(
    group: PlainColumns, in_base: bool, data: st.DataObject
) -> None:
    """The fast path gives what asking each conversion for its column gives, odd values and missing columns included."""
    asked = {
        name: (BASE.get(column, column) if in_base else column, convert)
        for name, (column, convert) in group.properties.items()
    }
    columns = sorted({column for column, _ in asked.values()})
    row = data.draw(st.dictionaries(st.sampled_from(columns), _ODD))

    made = _made(lambda: group.of(row, in_base=in_base))

    assert made == _made(lambda: {name: convert(row.get(column)) for name, (column, convert) in asked.items()})


@given(st.lists(_ODD, max_size=30))
def test_a_remembered_result_is_the_conversions_own(values: list[Value]) -> None:
    """Remembering changes no result, also where two values are equal and differ in their text: 1, 1.0 and true."""
    again = remembered(repr)

    assert [again(value) for value in values + values] == [repr(value) for value in values + values]


@pytest.mark.parametrize("conversion", [money.money, money.quantity, money.number])
@given(value=_ODD)
def test_amounts_are_converted_alike_the_first_and_the_next_time(
    conversion: Callable[[Value], object], value: Value
) -> None:
    """An amount, or the error of what is no amount, is the same whether it is remembered or not."""
    plain: Callable[[Value], object] = conversion.__wrapped__  # type: ignore[attr-defined]  # functools.wraps

    def of(convert: Callable[[Value], object]) -> str:
        try:
            return repr(convert(value))
        except money.NotANumberError as error:
            return repr(error)

    assert of(conversion) == of(conversion) == of(plain)


def test_only_short_texts_are_remembered_and_not_for_ever() -> None:
    """A conversion keeps the last results for short texts, and asks again for long texts and for what it dropped."""
    asked: list[Value] = []

    @remembered
    def length(value: Value) -> int:
        asked.append(value)
        return len(str(value))

    long = "x" * (LONGEST + 1)
    assert [length("a"), length("a"), length(long), length(long)] == [1, 1, LONGEST + 1, LONGEST + 1]
    assert asked == ["a", long, long]

    for number in range(KEPT):
        length(str(number))
    length("a")
    assert asked[-1] == "a"
