package ws

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	listed := []string{"XBT/USD", "ETH/USD", "XDG/EUR"}
	got, err := Resolve([]string{"btc_usd", "kraken:ETH-USD", "BTCUSD", "doge/eur", "gone_usd"}, listed, nil, log)
	if want := []string{"XBT/USD", "ETH/USD", "XDG/EUR"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if !strings.Contains(text.String(), "gone_usd") || !strings.Contains(text.String(), "ERROR") {
		t.Errorf("the log says %q", text.String())
	}
	if _, err := Resolve([]string{"gone_usd"}, listed, nil, log); err == nil || !strings.Contains(err.Error(), "gone_usd") {
		t.Errorf("nothing left: %v", err)
	}
	got, err = Resolve([]string{"a_b", "", "v:a_b"}, nil, strings.ToUpper, log)
	if err != nil || !slices.Equal(got, []string{"A_B"}) {
		t.Errorf("guessed %v, %v", got, err)
	}
}

func TestChunks(t *testing.T) {
	for n, want := range map[int]string{1: "1", 49: "49", 50: "50", 51: "50 1", 100: "50 50", 101: "50 50 1"} {
		var sizes []string
		for _, c := range Chunks(make([]string, n), 50) {
			sizes = append(sizes, strings.TrimPrefix(Name(len(c)-1), "ws."))
		}
		if got := strings.Join(sizes, " "); got != want {
			t.Errorf("%d in chunks of 50: %s, want %s", n, got, want)
		}
	}
}
