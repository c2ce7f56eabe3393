package rest

import (
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"chronicle/server/errmap"
)

// A mediaFormat is a format of package query/format as HTTP knows it.
type mediaFormat struct {
	name        string // for format= and query/format
	contentType string // as sent
}

// formats lists what data can be had in, the preferred one first.
var formats = []mediaFormat{
	{"json", "application/json"},
	{"ndjson", "application/x-ndjson"},
	{"csv", "text/csv; charset=utf-8"},
	{"arrow", "application/vnd.apache.arrow.stream"},
	{"parquet", "application/vnd.apache.parquet"},
}

// negotiate picks the format: what format= says, else the best of the Accept
// header, else JSON.
func negotiate(r *http.Request, q url.Values) (mediaFormat, error) {
	return pick(r.Header, q.Get("format"), formats)
}

// wantJSON refuses a request that does not accept JSON.
func wantJSON(r *http.Request) error {
	_, err := pick(r.Header, "", formats[:1])
	return err
}

func pick(h http.Header, name string, offered []mediaFormat) (mediaFormat, error) {
	for _, f := range offered {
		if f.name == name {
			return f, nil
		}
	}
	accept := strings.Join(h.Values("Accept"), ",")
	if accept == "" {
		return offered[0], nil
	}
	best, bestQ := mediaFormat{}, 0.0
	for _, f := range offered {
		if q := quality(accept, f.contentType); q > bestQ {
			best, bestQ = f, q
		}
	}
	if bestQ == 0 {
		return best, errmap.New(errmap.NotAcceptable, "none of the accepted formats can be had: send another Accept header, or format=").
			Blame("Accept", clip(accept), contentTypes(offered))
	}
	return best, nil
}

// quality gives the weight that an Accept header gives to a content type, by its
// most specific range; 0 is "not accepted".
func quality(accept, contentType string) float64 {
	want, _, _ := strings.Cut(contentType, ";")
	group, _, _ := strings.Cut(want, "/")
	weight, rank := 0.0, 0
	for _, item := range strings.Split(accept, ",") {
		media, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue // what cannot be read accepts nothing
		}
		r := map[string]int{want: 3, group + "/*": 2, "*/*": 1}[media]
		if r > rank {
			rank, weight = r, qvalue(params["q"])
		}
	}
	return weight
}

func qvalue(s string) float64 {
	if s == "" {
		return 1
	}
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || q < 0 || q > 1 {
		return 0
	}
	return q
}

func contentTypes(offered []mediaFormat) string {
	names := make([]string, len(offered))
	for i, f := range offered {
		names[i], _, _ = strings.Cut(f.contentType, ";")
	}
	return strings.Join(names, ", ")
}
