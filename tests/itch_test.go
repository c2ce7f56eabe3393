package tests

import (
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chronicle/book"
	"chronicle/internal/testdata"
	"chronicle/query"
)

// itchLength gives the length of each ITCH 5.0 message type, for the plain reader below.
var itchLength = map[byte]int{'S': 12, 'R': 39, 'H': 25, 'Y': 20, 'L': 26, 'V': 35, 'W': 12, 'K': 28, 'J': 35, 'h': 21,
	'A': 36, 'F': 40, 'E': 31, 'C': 36, 'X': 23, 'D': 19, 'U': 35, 'P': 44, 'Q': 40, 'B': 19, 'I': 50, 'N': 20, 'O': 48}

type itchOrder struct {
	symbol string
	side   byte
	price  int64
	size   int64
}

// itchModel is a day's market, kept the simplest way.
type itchModel struct {
	orders  map[uint64]*itchOrder
	unknown int
	trades  map[string][]trade
	byType  map[byte]int
	stocks  map[uint16]string // by locate
}

// itchBook is a book at a moment, for later comparison.
type itchBook struct {
	at         int64
	symbol     string
	bids, asks [][2]int64
}

// TestITCHDay: every message decoded, those that name unknown orders counted, the
// books and trades as a plain model has them.
func TestITCHDay(t *testing.T) {
	a, sum := itch.archived(t)
	m, books := itchReplay(t)
	if sum.Messages != 12012 || sum.Skipped != 0 {
		t.Errorf("%d messages (%d skipped), want 12012", sum.Messages, sum.Skipped)
	}
	if m.unknown != 117 || sum.ETL.UnknownOrders != 117 {
		t.Errorf("unknown orders: %d here, %d in the archive, want 117", m.unknown, sum.ETL.UnknownOrders)
	}
	if len(books) < 500 {
		t.Fatalf("only %d books to compare", len(books))
	}
	for _, want := range books {
		got, err := a.BookAt(t.Context(), query.BookRequest{Symbol: want.symbol, At: want.at, Depth: 5000, Clock: "recv"})
		if err != nil {
			t.Fatal(err)
		}
		if bids, asks := pairs(got.Bids), pairs(got.Asks); !slices.Equal(bids, want.bids) || !slices.Equal(asks, want.asks) {
			t.Fatalf("%s at %d:\n got %v %v\nwant %v %v", want.symbol, want.at, bids, asks, want.bids, want.asks)
		}
	}
	for symbol, want := range m.trades {
		compareTrades(t, archivedTrades(t, a, symbol), want)
	}
}

func itchReplay(t *testing.T) (*itchModel, []itchBook) {
	t.Helper()
	f, err := os.Open(testdata.Path(t, itch.file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2010, 12, 24, 0, 0, 0, 0, newYork).UnixNano()
	m := &itchModel{orders: map[uint64]*itchOrder{}, trades: map[string][]trade{}, byType: map[byte]int{}, stocks: map[uint16]string{}}
	var books []itchBook
	last := map[string]int64{}
	for n, at := 0, 0; at < len(data); n++ {
		msg := data[at+2 : at+2+itchLength[data[at+2]]]
		at += 2 + len(msg)
		ts := midnight + int64(be48(msg[5:]))
		// Several messages may share a time: the book at a time is the one after the last of them.
		if symbol := m.apply(msg, ts); symbol != "" {
			last[symbol] = ts
		}
		if n%10 == 0 && at < len(data) && midnight+int64(be48(data[at+2+5:])) > ts {
			for symbol := range last {
				books = append(books, m.book(symbol, ts))
			}
		}
	}
	return m, books
}

func be48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

// apply changes the model and returns the symbol whose book the message concerns.
func (m *itchModel) apply(msg []byte, ts int64) string {
	m.byType[msg[0]]++
	u64, u32 := binary.BigEndian.Uint64, binary.BigEndian.Uint32
	stock := func(b []byte) string { return "xnas:" + strings.ToLower(strings.TrimSpace(string(b[:8]))) }
	locate := binary.BigEndian.Uint16(msg[1:])
	switch msg[0] {
	case 'R':
		m.stocks[locate] = stock(msg[11:])
		return ""
	case 'A', 'F':
		o := &itchOrder{symbol: stock(msg[24:]), side: msg[19], size: int64(u32(msg[20:])), price: int64(u32(msg[32:]))}
		m.orders[u64(msg[11:])] = o
		return o.symbol
	case 'P':
		symbol := stock(msg[24:])
		side := map[byte]string{'B': "A", 'S': "B"}[msg[19]]
		m.trades[symbol] = append(m.trades[symbol], trade{u64(msg[36:]), float64(u32(msg[32:])) / 1e4, float64(u32(msg[20:])), side, ts})
		return ""
	case 'E', 'C', 'X', 'D', 'U':
	default:
		return ""
	}
	id := u64(msg[11:])
	o := m.orders[id]
	if o == nil {
		m.unknown++
		if symbol := m.stocks[locate]; msg[0] == 'E' {
			m.trades[symbol] = append(m.trades[symbol], trade{u64(msg[23:]), unknownPrice, float64(u32(msg[19:])), "N", ts})
		}
		return ""
	}
	switch msg[0] {
	case 'E':
		side := map[byte]string{'B': "A", 'S': "B"}[o.side]
		m.trades[o.symbol] = append(m.trades[o.symbol], trade{u64(msg[23:]), float64(o.price) / 1e4, float64(u32(msg[19:])), side, ts})
		m.reduce(id, int64(u32(msg[19:])))
	case 'X':
		m.reduce(id, int64(u32(msg[19:])))
	case 'D':
		delete(m.orders, id)
	case 'U':
		delete(m.orders, id)
		m.orders[u64(msg[19:])] = &itchOrder{symbol: o.symbol, side: o.side, size: int64(u32(msg[27:])), price: int64(u32(msg[31:]))}
	}
	return o.symbol
}

func (m *itchModel) reduce(id uint64, by int64) {
	if m.orders[id].size -= by; m.orders[id].size <= 0 {
		delete(m.orders, id)
	}
}

func (m *itchModel) book(symbol string, at int64) itchBook {
	sides := map[byte]map[int64]int64{'B': {}, 'S': {}}
	for _, o := range m.orders {
		if o.symbol == symbol {
			sides[o.side][o.price] += o.size
		}
	}
	sorted := func(side byte, sign int64) (out [][2]int64) {
		for p, s := range sides[side] {
			out = append(out, [2]int64{p, s})
		}
		slices.SortFunc(out, func(a, b [2]int64) int { return cmp.Compare(sign*a[0], sign*b[0]) })
		return out
	}
	return itchBook{at, symbol, sorted('B', -1), sorted('S', 1)}
}

// TestPcapPackets replays each capture of single packets and wants its messages in
// the archive, none skipped.
func TestPcapPackets(t *testing.T) {
	for file, messages := range map[string]uint64{
		"itch/pcap/AddOrderNoMPID.pcap":      5,
		"itch/pcap/OrderDeleteMessage.pcap":  1,
		"itch/pcap/SystemEvent.pcap":         1,
		"itch/pcap/OrderReplaceMessage.pcap": 1,
	} {
		root := t.TempDir()
		sum := recording{source: "itch", file: file}.replay(t, root)
		if sum.Messages != messages || sum.Skipped != 0 || sum.Records == 0 {
			t.Errorf("%s: %+v, want %d messages", file, sum, messages)
		}
	}
}

// pairs reduces levels to price and size.
func pairs(levels []book.Level) (out [][2]int64) {
	for _, l := range levels {
		out = append(out, [2]int64{l.Price, l.Size})
	}
	return out
}
