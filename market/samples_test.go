package market

// The samples have a different value in every field, so that no two can be
// exchanged unseen.

func sampleEvent() *BookEvent {
	return &BookEvent{
		RawSeq: 0x0102030405060708, Seq: 0x1112131415161718, PrevSeq: 0x2122232425262728,
		Flags: FlagLast | FlagMBP, Attr: AttrChecksum, Checksum: 0xA1A2A3A4,
		Entries: []Entry{
			{OrderID: 0x3132333435363738, Price: 6180020, Size: -2, Count: 0x41424344, Side: Bid, Action: Modify, Flags: EntryNonPrintable},
			{OrderID: 1, Price: UndefPrice, Size: UndefSize, Side: Ask, Action: Cancel},
			{Side: NoSide, Action: Clear},
		},
	}
}

func sampleSnapshot() *BookEvent {
	return &BookEvent{
		RawSeq: 7, Seq: 8, Flags: FlagLast | FlagSnapshot, Attr: AttrSynthetic,
		AsOfEvent: 1723161255000000001, AsOfRecv: 1723161255000000002,
		Entries: []Entry{
			{OrderID: 11, Price: 99, Size: 5, Side: Bid, Action: Add},
			{OrderID: 12, Price: 101, Size: 6, Side: Ask, Action: Add},
		},
	}
}

func sampleTrade() *Trade {
	return &Trade{
		RawSeq: 0x0102030405060708, Seq: 0x1112131415161718, TradeID: 0x2122232425262728, OrderID: 0x3132333435363738,
		Price: 6180020, Size: 1500, Side: Ask, Flags: FlagLast, Entry: EntryNonPrintable, Cond: 'O',
	}
}

func sampleQuote() *Quote {
	return &Quote{
		RawSeq: 0x0102030405060708, Seq: 0x1112131415161718,
		BidPrice: 6180020, BidSize: 17, AskPrice: 6180030, AskSize: UndefSize, Flags: FlagLast | FlagMaybeBadBook,
	}
}

func sampleStatus() *Status {
	return &Status{RawSeq: 0x0102030405060708, Seq: 0x1112131415161718, Code: 'H', Flags: FlagLast, Payload: []byte("HALT \x00\xff")}
}

func sampleDefinition() *Definition {
	return &Definition{
		ID: 3, Venue: "kraken", Symbol: "btc_usdt", Native: "XBT/USDT", BookType: L2, PriceExponent: -2, SizeExponent: -8,
		Channel: "book-1000", Depth: 1000, Checksum: "kraken", Chained: true, FromEmpty: true, TickSize: "0.01", LotSize: "0.00000001", Currency: "USDT",
	}
}

func sampleGap() *Gap {
	return &Gap{
		RawSeq: 9, Venue: "xnas", Channel: "a", Symbol: "aapl", Start: 1723161255000000001, End: 1723161256000000002,
		FirstSeq: 100, LastSeq: 200, Session: "20240807B", Cause: GapSequence, Recovered: true, Detail: "101 messages by re-request",
	}
}

func sampleSession() *Session {
	return &Session{
		Event: SessionSourceBegin, Source: "itch", Input: "sha256:00ff", Name: "day.pcap", Venue: "xnas", Channel: "a", Session: "20240808A",
	}
}
