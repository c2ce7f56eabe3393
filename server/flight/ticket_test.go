package flight

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chronicle/server/errmap"
	"chronicle/server/internal/fake"
	"chronicle/server/request"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func TestTicketRoundTrip(t *testing.T) {
	c := &clock{time.Unix(1_767_348_000, 0)}
	depth := int64(7)
	want := request.Request{Schema: "book", Symbol: "binance-usdm:btc_usdt", At: "1767348000000000001", Depth: &depth, OnGap: "null"}
	mine := newTickets(key(1), time.Hour, c.now)
	ticket, expires, err := mine.issue(&want)
	if err != nil || !expires.Equal(c.at.Add(time.Hour)) {
		t.Fatalf("expires %s, %v", expires, err)
	}
	peer := newTickets(key(1), time.Minute, c.now)
	for name, who := range map[string]*tickets{"its maker": mine, "a peer with the same key": peer} {
		got, err := who.redeem(ticket)
		if err != nil || *got.Depth != 7 || got.At != want.At || got.OnGap != "null" {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func TestTicketRefused(t *testing.T) {
	c := &clock{time.Unix(1_767_348_000, 0)}
	mine := newTickets(key(1), time.Hour, c.now)
	good, _, err := mine.issue(&request.Request{Schema: "trades", Symbol: "binance-usdm:btc_usdt"})
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := newTickets(key(2), time.Hour, c.now).issue(&request.Request{Schema: "trades", Symbol: "x:y"})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		ticket []byte
		kind   errmap.Kind
		detail string
	}{
		"empty":           {nil, errmap.InvalidArgument, "not a ticket"},
		"a name":          {[]byte("binance-usdm.btc_usdt"), errmap.InvalidArgument, "not a ticket"},
		"a bare request":  {[]byte(`{"request":{"schema":"trades"}}.`), errmap.Unauthenticated, "another server"},
		"huge":            {bytes.Repeat([]byte("."), 1<<20), errmap.InvalidArgument, "not a ticket"},
		"of another key":  {foreign, errmap.Unauthenticated, "another server"},
		"altered":         {bytes.Replace(good, []byte("btc_usdt"), []byte("eth_usdt"), 1), errmap.Unauthenticated, "altered"},
		"cut short":       {good[:len(good)-2], errmap.Unauthenticated, "altered"},
		"without its end": {good[:bytes.LastIndexByte(good, '.')+1], errmap.Unauthenticated, "altered"},
	} {
		got, err := mine.redeem(x.ticket)
		var p *errmap.Problem
		if got != nil || !errors.As(err, &p) || p.Kind() != x.kind || !strings.Contains(p.Detail, x.detail) {
			t.Errorf("%s: %v %v, want %s %q", name, got, err, x.kind, x.detail)
		}
	}
	c.at = c.at.Add(time.Hour - 1)
	if _, err := mine.redeem(good); err != nil {
		t.Errorf("in its last nanosecond: %v", err)
	}
	c.at = c.at.Add(1)
	if _, err := mine.redeem(good); err == nil || !strings.Contains(err.Error(), "expired at 2026-01-02T11:00:00.000000000Z") {
		t.Errorf("expired: %v", err)
	}
}

func TestBadTicketsOverTheWire(t *testing.T) {
	r := start(t, &fake.Archive{}, nil)
	other := start(t, &fake.Archive{}, nil)
	foreign := other.ticket(t, pathOf("trades", "binance-usdm", "btc_usdt"))
	for name, x := range map[string]struct {
		ticket []byte
		code   codes.Code
	}{
		"foreign":   {foreign.Ticket, codes.Unauthenticated},
		"malformed": {[]byte("hello"), codes.InvalidArgument},
		"empty":     {nil, codes.InvalidArgument},
	} {
		_, _, err := r.fetch(t.Context(), &flight.Ticket{Ticket: x.ticket})
		if status.Code(err) != x.code || !strings.Contains(err.Error(), "GetFlightInfo") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRedeem(f *testing.F) {
	c := &clock{time.Unix(1_767_348_000, 0)} // the same in every process of the fuzzer
	mine := newTickets(key(1), time.Hour, c.now)
	good, _, err := mine.issue(&request.Request{Schema: "trades", Symbol: "a:b"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"key":"` + mine.name + `","expires":"2999-01-01T00:00:00Z","request":{}}.00`))
	f.Fuzz(func(t *testing.T, ticket []byte) {
		if _, err := mine.redeem(ticket); err == nil && !bytes.Equal(ticket, good) {
			t.Errorf("%q was taken", ticket)
		}
	})
}
