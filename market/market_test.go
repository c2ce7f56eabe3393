package market

import "testing"

func TestKindNames(t *testing.T) {
	for kind, want := range map[Kind]string{
		KindDefinition: "definition", KindBook: "book", KindSnapshot: "snapshot", KindTrade: "trade", KindQuote: "quote",
		KindStatus: "status", KindGap: "gap", KindSession: "session", 0: "kind(0)", 9: "kind(9)", 65535: "kind(65535)",
	} {
		if got := kind.String(); got != want {
			t.Errorf("%d: %q, want %q", uint16(kind), got, want)
		}
	}
}

func TestSides(t *testing.T) {
	if Bid.Opposite() != Ask || Ask.Opposite() != Bid || NoSide.Opposite() != NoSide {
		t.Error("opposite sides")
	}
	for b := range 256 {
		c := byte(b)
		if got, want := Side(c).Valid(), c == 'B' || c == 'A' || c == 'N'; got != want {
			t.Errorf("side %q valid: %v", c, got)
		}
		if got, want := Action(c).Valid(), c == 'A' || c == 'C' || c == 'M' || c == 'R' || c == 'T' || c == 'F'; got != want {
			t.Errorf("action %q valid: %v", c, got)
		}
	}
}
