"""pyarrow, pandas and Polars against a running server: what they read over
Flight is what REST says, to the last nanosecond and digit."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest

NS_UTC = pa.timestamp("ns", tz="UTC")
TRADE_COLUMNS = {
    "ts_recv": NS_UTC,
    "ts_event": NS_UTC,
    "symbol": pa.dictionary(pa.int32(), pa.utf8()),
    "price": pa.float64(),
    "size": pa.float64(),
    "sequence": pa.uint64(),
    "trade_id": pa.uint64(),
    "flags": pa.uint8(),
}


def ns(text):
    """RFC 3339 with nine decimals as integer nanoseconds; datetime cannot hold it."""
    whole, fraction = text.rstrip("Z").split(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp()
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))


def plain(table):
    """The table with text instead of dictionaries, which batches may share or not."""
    return pa.table({
        f.name: table[f.name].cast(pa.utf8()) if pa.types.is_dictionary(f.type) else table[f.name] for f in table.schema
    })


def ints(column):
    return column.cast("int64").to_pylist()


# --- trades ------------------------------------------------------------------


def test_trades_have_their_types(trades):
    for column, kind in TRADE_COLUMNS.items():
        assert trades.schema.field(column).type == kind, column
    assert trades.schema.field("side").type in (pa.utf8(), pa.dictionary(pa.int32(), pa.utf8()))
    assert trades.num_rows > 0
    assert trades["ts_recv"].null_count == 0


def test_trades_in_pandas(trades):
    df = trades.to_pandas()
    assert str(df.dtypes["ts_recv"]) == "datetime64[ns, UTC]"
    assert str(df.dtypes["ts_event"]) == "datetime64[ns, UTC]"
    assert isinstance(df.dtypes["symbol"], pd.CategoricalDtype)
    assert df.dtypes["price"] == "float64" and df.dtypes["size"] == "float64"
    assert df.dtypes["trade_id"] == "uint64"
    assert df["ts_recv"].astype("int64").tolist() == ints(trades["ts_recv"])
    assert df["ts_event"].isna().sum() == trades["ts_event"].null_count
    assert df["price"].isna().sum() == trades["price"].null_count


def test_trades_in_polars(trades):
    df = pl.from_arrow(trades)
    assert df.schema["ts_recv"] == pl.Datetime("ns", "UTC")
    assert df.schema["ts_event"] == pl.Datetime("ns", "UTC")
    assert df.schema["symbol"] == pl.Categorical
    assert df.schema["price"] == pl.Float64 and df.schema["size"] == pl.Float64
    assert df.schema["trade_id"] == pl.UInt64
    assert df["ts_recv"].to_physical().to_list() == ints(trades["ts_recv"])
    assert df["ts_event"].null_count() == trades["ts_event"].null_count
    assert df["symbol"].cast(pl.Utf8).to_list() == trades["symbol"].to_pylist()


def test_trades_are_what_rest_says(flight, rest, name, span):
    table = flight.table(schema="trades", symbol=name, limit=2000, **span)
    answer = rest.get(f"/v1/trades/{name}", limit=2000, **span)
    assert answer.status == 200
    body = answer.json()
    assert body["symbol"] == name and body["schema"] == "trades" and body["clock"] == "recv"
    rows = body["rows"]
    assert len(rows) == table.num_rows
    assert [ns(r["ts_recv"]) for r in rows] == ints(table["ts_recv"])
    assert [None if r["ts_event"] is None else ns(r["ts_event"]) for r in rows] == ints(table["ts_event"])
    for column in ("symbol", "sequence", "trade_id", "side", "price", "size", "flags", "condition"):
        assert [r[column] for r in rows] == table[column].to_pylist(), column


def test_a_day_is_what_rest_streams(flight, rest, symbol, name, moment):
    day = datetime.fromtimestamp(moment // 10**9, timezone.utc).date()
    table = flight.table("trades", *symbol, day.isoformat())
    # More may come in meanwhile: what there was up to the moment does not change.
    table = table.filter(pc.less_equal(table["ts_recv"].cast("int64"), moment))
    answer = rest.get(f"/v1/trades/{name}", format="arrow", start=f"{day}T00:00:00Z", end=moment + 1)
    streamed = pa.ipc.open_stream(answer.body).read_all()
    assert streamed.num_rows == table.num_rows > 0
    assert plain(streamed).equals(plain(table))


def test_parquet_keeps_nanoseconds(rest, flight, name, span):
    answer = rest.get(f"/v1/trades/{name}", format="parquet", limit=1000, **span)
    assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
    stored = pq.read_table(io.BytesIO(answer.body))
    table = flight.table(schema="trades", symbol=name, limit=1000, **span)
    for column in ("ts_recv", "ts_event"):
        assert stored.schema.field(column).type.unit == "ns"
        assert ints(stored[column]) == ints(table[column])
    assert stored["price"].to_pylist() == table["price"].to_pylist()
    assert stored["symbol"].to_pylist() == table["symbol"].to_pylist()


def test_csv_and_ndjson_have_the_same_rows(rest, name, span):
    csv = pd.read_csv(io.BytesIO(rest.get(f"/v1/trades/{name}", format="csv", limit=500, **span).body))
    lines = rest.get(f"/v1/trades/{name}", format="ndjson", limit=500, **span).body.splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(csv) == len(rows) > 0
    assert csv["trade_id"].tolist() == [r["trade_id"] for r in rows]
    assert csv["price"].dropna().tolist() == [r["price"] for r in rows if r["price"] is not None]


def test_ranges_are_half_open(flight, name, trades):
    times = sorted(set(ints(trades["ts_recv"])))
    first, second = times[0], times[1]
    table = flight.table(schema="trades", symbol=name, start=first, end=second)
    assert table.num_rows > 0
    assert set(ints(table["ts_recv"])) == {first}


def test_two_halves_are_the_whole(flight, name, trades, moment):
    begin, end = ints(trades["ts_recv"])[0], moment + 1
    middle = (begin + end) // 2
    whole = flight.table(schema="trades", symbol=name, start=begin, end=end)
    halves = [
        flight.table(schema="trades", symbol=name, start=begin, end=middle),
        flight.table(schema="trades", symbol=name, start=middle, end=end),
    ]
    assert sum(h.num_rows for h in halves) == whole.num_rows > 0
    assert ints(pa.concat_tables(halves)["raw_sequence"]) == ints(whole["raw_sequence"])


def test_an_empty_range_has_its_types(flight, symbol):
    table = flight.table("trades", *symbol, "1999-01-02")
    assert table.num_rows == 0
    assert str(table.to_pandas().dtypes["ts_recv"]) == "datetime64[ns, UTC]"
    assert pl.from_arrow(table).schema["ts_recv"] == pl.Datetime("ns", "UTC")


@pytest.mark.parametrize("clock", ["recv", "event"])
def test_the_clock_is_told(flight, name, clock):
    table = flight.table(schema="trades", symbol=name, clock=clock, limit=10)
    assert table.schema.metadata[b"chronicle.clock"].decode() == clock


def test_exact_prices(flight, name, span):
    ask = dict(schema="trades", symbol=name, limit=1000, **span)
    exact = flight.table(**ask, price_type="decimal")["price"].to_pylist()
    near = flight.table(**ask)["price"].to_pylist()
    fixed = flight.table(**ask, price_type="fixed")
    exponent = int(fixed.schema.field("price").metadata[b"exponent"])
    assert [None if p is None else float(p) for p in exact] == near
    assert [None if p is None else Decimal(p).scaleb(exponent) for p in fixed["price"].to_pylist()] == exact


# --- books -------------------------------------------------------------------


def levels(table, side):
    """The levels of a one-row book, as far as they are there."""
    row = table.to_pylist()[0]
    out = []
    for i in range(10_000):
        price = row.get(f"{side}_px_{i:02d}")
        if price is None:
            return out
        out.append((price, row[f"{side}_sz_{i:02d}"], row[f"{side}_ct_{i:02d}"]))


@pytest.mark.parametrize("depth", [1, 10, 100])
def test_book_is_what_rest_says(flight, rest, symbol, name, moment, depth):
    table = flight.table("book", *symbol, str(moment), str(depth))
    answer = rest.get(f"/v1/books/{name}", at=moment, depth=depth)
    assert answer.status == 200
    book = answer.json()
    assert table.num_rows == 1
    assert ints(table["at"]) == [ns(book["at"])] == [moment]
    assert ints(table["ts_recv"]) == [ns(book["ts_recv"])]
    assert table["sequence"].to_pylist() == [book["sequence"]]
    assert table["condition"].to_pylist() == [book["condition"]] == [answer.headers["Chronicle-Condition"]]
    for side, json_levels in (("bid", book["bids"]), ("ask", book["asks"])):
        assert f"{side}_px_{depth - 1:02d}" in table.schema.names
        assert len(json_levels) <= depth
        got = [(price, size) for price, size, _ in levels(table, side)]
        assert got == [(float(price), float(size)) for price, size, _ in json_levels]
    assert json_levels, "the book is empty"


def test_book_has_its_proof(flight, rest, symbol, name, moment):
    table = flight.table("book", *symbol, str(moment))
    proof = json.loads(table.schema.metadata[b"chronicle.proof"])
    answer = rest.get(f"/v1/books/{name}", at=moment)
    stated = answer.json()["proof"]
    assert proof["digest"] == stated["digest"] == answer.headers["Chronicle-Digest"]
    assert proof["last_seq"] == stated["last_seq"] == int(answer.headers["Chronicle-Last-Sequence"])
    assert proof["segments"][0]["first_seq"] == stated["segments"][0]["first_seq"]


def test_book_levels_are_ordered(flight, symbol, moment):
    table = flight.table("book", *symbol, str(moment), "50")
    bids = [price for price, _, _ in levels(table, "bid")]
    asks = [price for price, _, _ in levels(table, "ask")]
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))


def test_book_is_null_beyond_its_levels(flight, symbol, moment):
    table = flight.table("book", *symbol, str(moment), "5000")
    have = len(levels(table, "bid"))
    if have == 5000:
        pytest.skip("the book is deeper than a request may be")
    for column in (f"bid_px_{have:02d}", f"bid_sz_{have:02d}", f"bid_ct_{have:02d}"):
        assert table[column].null_count == 1


def test_book_in_pandas_and_polars(flight, symbol, moment):
    table = flight.table("book", *symbol, str(moment))
    df = table.to_pandas()
    assert str(df.dtypes["at"]) == "datetime64[ns, UTC]"
    assert df["at"].astype("int64").tolist() == [moment]
    assert df.dtypes["bid_px_00"] == "float64"
    frame = pl.from_arrow(table)
    assert frame.schema["at"] == pl.Datetime("ns", "UTC")
    assert frame.schema["ask_px_00"] == pl.Float64
    assert frame["at"].to_physical().to_list() == [moment]


def test_book_by_command_with_exact_prices(flight, rest, name, moment):
    table = flight.table(schema="book", symbol=name, at=moment, depth=5, price_type="decimal")
    book = rest.get(f"/v1/books/{name}", at=moment, depth=5).json()
    assert [price for price, _, _ in levels(table, "bid")] == [Decimal(p) for p, _, _ in book["bids"]]
    assert [size for _, size, _ in levels(table, "ask")] == [Decimal(s) for _, s, _ in book["asks"]]


def test_mbp_ends_with_the_book(flight, symbol, name, moment):
    """The last row of mbp-5 up to T has the levels of the book at T."""
    rows = flight.table(schema="mbp-5", symbol=name, start=moment - 60 * 10**9, end=moment + 1)
    if rows.num_rows == 0:
        pytest.skip("the book did not change in the minute before")
    last = rows.slice(rows.num_rows - 1)
    book = flight.table("book", *symbol, str(moment), "5")
    for side in ("bid", "ask"):
        assert levels(last, side) == levels(book, side)


# --- what there is -------------------------------------------------------------


def test_listed_flights_have_schema_and_ticket(flight, rest):
    listed = {}
    for info in flight.client.list_flights():
        path = tuple(p.decode() for p in info.descriptor.path)
        listed[path] = info
        assert info.schema.names and info.endpoints[0].ticket.ticket
        assert json.loads(info.app_metadata)["symbol"] == ":".join(path[1:])
    named = {s["symbol"] for s in rest.get("/v1/symbols").json()["symbols"]}
    assert {":".join(p[1:]) for p in listed} == named


def test_criteria_choose(flight, symbol):
    criteria = json.dumps({"venue": symbol[0][:3] + "*", "symbol": symbol[1]})
    paths = [tuple(p.decode() for p in i.descriptor.path) for i in flight.client.list_flights(criteria.encode())]
    assert ("trades", *symbol) in paths
    assert all(p[2] == symbol[1] for p in paths)


def test_schema_is_the_data_s_own(flight, symbol, trades):
    descriptor = fl.FlightDescriptor.for_path("trades", *symbol)
    promised = flight.client.get_schema(descriptor).schema
    assert promised.equals(trades.schema, check_metadata=False)
    assert flight.client.get_flight_info(descriptor).schema.equals(promised)


def test_a_ticket_can_be_used_by_many(flight, name, trades):
    ticket = flight.info(schema="trades", symbol=name, limit=50_000).endpoints[0].ticket
    with ThreadPoolExecutor(4) as pool:
        for table in pool.map(lambda _: flight.client.do_get(ticket).read_all(), range(4)):
            assert table.num_rows <= 50_000
            n = min(table.num_rows, trades.num_rows)
            assert ints(table["raw_sequence"])[:n] == ints(trades["raw_sequence"])[:n]


def test_batches_are_small_enough(flight, symbol):
    info = flight.info("trades", *symbol)
    for chunk in flight.client.do_get(info.endpoints[0].ticket):
        assert chunk.data.get_total_buffer_size() <= 4 << 20
        assert chunk.data.num_rows > 0


# --- errors --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, error, text",
    [
        (("trades", "nowhere", "nothing"), pa.lib.ArrowKeyError, "no such symbol"),
        (("book", "nowhere", "nothing", "2026-01-02T10:00:00Z"), pa.lib.ArrowKeyError, "no such symbol"),
        (("book", None, None, "noon"), pa.lib.ArrowInvalid, "at: not a time"),
        (("book", None, None, "1", "0"), pa.lib.ArrowInvalid, "depth"),
        (("book", None, None, "1", "1000000000"), pa.lib.ArrowInvalid, "1 to 5000"),
        (("candles", None, None), pa.lib.ArrowInvalid, "schema"),
        (("trades",), pa.lib.ArrowInvalid, "path"),
        (("trades", None, None, "2", "1"), pa.lib.ArrowInvalid, "before it starts"),
    ],
)
def test_errors_say_what_is_wrong(flight, symbol, path, error, text):
    fill = iter(symbol)
    with pytest.raises(error, match=text):
        flight.info(*(next(fill) if p is None else p for p in path))


def test_unknown_fields_are_refused(flight, name):
    with pytest.raises(pa.lib.ArrowInvalid, match="from"):
        flight.info(schema="trades", symbol=name, **{"from": 1})


def test_bad_tickets_are_refused(flight, name):
    with pytest.raises(pa.lib.ArrowInvalid, match="GetFlightInfo"):
        flight.client.do_get(fl.Ticket(b"hello")).read_all()
    good = flight.info(schema="trades", symbol=name, limit=1).endpoints[0].ticket.ticket
    with pytest.raises(fl.FlightUnauthenticatedError, match="altered"):
        flight.client.do_get(fl.Ticket(good.replace(b'"limit":1', b'"limit":9'))).read_all()


def test_a_book_before_the_data_is_not_found(flight, symbol):
    with pytest.raises(pa.lib.ArrowKeyError, match="at"):
        flight.table("book", *symbol, "1999-01-02T00:00:00Z")


@pytest.mark.parametrize(
    "path, query, status, field",
    [
        ("/v1/books/{name}", {}, 400, "at"),
        ("/v1/books/{name}", {"at": "noon"}, 400, "at"),
        ("/v1/books/{name}", {"at": "1", "depth": "0"}, 400, "depth"),
        ("/v1/books/{name}", {"at": "1", "depth": "1000000000"}, 400, "depth"),
        ("/v1/books/{name}", {"at": "1", "format": "xml"}, 400, "format"),
        ("/v1/books/{name}", {"at": "1", "dept": "5"}, 400, "dept"),
        ("/v1/books/nothing", {"at": "1"}, 404, "symbol"),
        ("/v1/records/candles/{name}", {}, 400, "schema"),
        ("/v2/books", {}, 404, "path"),
    ],
)
def test_problems_over_rest(rest, name, path, query, status, field):
    answer = rest.get(path.format(name=name), **query)
    problem = answer.json()
    assert answer.status == problem["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["field"] == field
    assert problem["detail"] and problem["title"] and problem["type"] and problem["allowed"]
