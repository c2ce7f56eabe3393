package flight

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"chronicle/query"
	"chronicle/server/errmap"
	"chronicle/server/request"
)

// tickets makes and checks tickets. A ticket is
//
//	{"key":"<4 bytes>","expires":"<RFC 3339>","request":{...}}.<HMAC-SHA256 of what is before the dot>
//
// with key and signature in hexadecimal. key names the signing key without
// giving it away, so that a ticket of another server can be told from a forged one.
type tickets struct {
	key  []byte
	name string
	life time.Duration
	now  func() time.Time
}

// claims is the signed part of a ticket.
type claims struct {
	Key     string           `json:"key"`
	Expires time.Time        `json:"expires"`
	Request *request.Request `json:"request"`
}

// maxTicket bounds a ticket, in bytes.
const maxTicket = 16 << 10

func newTickets(key []byte, life time.Duration, now func() time.Time) *tickets {
	sum := sha256.Sum256(append([]byte("chronicle ticket key "), key...))
	return &tickets{key: key, name: hex.EncodeToString(sum[:4]), life: life, now: now}
}

// issue makes the ticket for a request.
func (t *tickets) issue(r *request.Request) (ticket []byte, expires time.Time, err error) {
	expires = t.now().Add(t.life).UTC()
	body, err := json.Marshal(claims{Key: t.name, Expires: expires, Request: r})
	if err != nil {
		return nil, expires, fmt.Errorf("making a ticket: %w", err)
	}
	return append(append(body, '.'), t.sign(body)...), expires, nil
}

// redeem gives the request of a ticket, if it is one of ours and still good.
func (t *tickets) redeem(ticket []byte) (*request.Request, error) {
	at := bytes.LastIndexByte(ticket, '.')
	if at < 0 || len(ticket) > maxTicket {
		return nil, notATicket()
	}
	var c claims
	if err := json.Unmarshal(ticket[:at], &c); err != nil || c.Request == nil {
		return nil, notATicket()
	}
	switch {
	case c.Key != t.name:
		return nil, refused("the ticket is from another server, or from this one before it was started anew")
	case !hmac.Equal(ticket[at+1:], t.sign(ticket[:at])):
		return nil, refused("the ticket has been altered")
	case !t.now().Before(c.Expires):
		return nil, refused("the ticket expired at " + query.FormatTime(c.Expires.UnixNano()))
	}
	return c.Request, nil
}

func (t *tickets) sign(body []byte) []byte {
	m := hmac.New(sha256.New, t.key)
	m.Write(body) // never fails
	return hex.AppendEncode(nil, m.Sum(nil))
}

const ticketAllowed = "a ticket from an endpoint of GetFlightInfo"

func notATicket() error {
	return errmap.Invalid("ticket", "", ticketAllowed, "not a ticket of Chronicle: ask GetFlightInfo for one")
}

func refused(detail string) error {
	return errmap.New(errmap.Unauthenticated, detail+": ask GetFlightInfo for a new one").Blame("ticket", "", ticketAllowed)
}
