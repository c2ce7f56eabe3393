// Package blobtest is the conformance test of blob.Store: what every
// implementation must do, run by the tests of each.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"chronicle/store/blob"
)

// Run tests a store. open must give an empty store that is there, a new one at
// each call.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for name, test := range map[string]func(*testing.T, blob.Store){
		"RoundTrip":       roundTrip,
		"NeverReplaces":   neverReplaces,
		"MismatchIsNone":  mismatchIsNone,
		"BrokenSource":    brokenSource,
		"Cancelled":       cancelled,
		"Missing":         missing,
		"BadKeys":         badKeys,
		"List":            list,
		"ReadAt":          readAt,
		"ReadsAfterward":  readsAfterDelete,
		"OneWinner":       oneWinner,
		"PutAndDelete":    putAndDelete,
		"ListStopsEarly":  listStopsEarly,
		"DeleteThenPut":   deleteThenPut,
		"CheckIsPositive": func(t *testing.T, s blob.Store) { check(t, s.Check(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, sentinel error) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("error is %v, want %v", err, sentinel)
	}
}

func sum(b []byte) blob.Sum {
	s, err := blob.SumOf(bytes.NewReader(b))
	if err != nil {
		panic(err) // a bytes.Reader does not fail
	}
	return s
}

func put(t testing.TB, s blob.Store, key string, b []byte) {
	t.Helper()
	check(t, s.Put(context.Background(), key, bytes.NewReader(b), sum(b)))
}

func get(t testing.TB, s blob.Store, key string) []byte {
	t.Helper()
	o, err := s.Open(context.Background(), key)
	check(t, err)
	b, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	check(t, errors.Join(err, o.Close()))
	return b
}

func keys(t testing.TB, s blob.Store, prefix string) []string {
	t.Helper()
	all := []string{}
	for info, err := range s.List(context.Background(), prefix) {
		check(t, err)
		all = append(all, info.Key)
	}
	return all
}

func roundTrip(t *testing.T, s blob.Store) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	for key, b := range map[string][]byte{"a": []byte("x"), "v/s/book/2024-01-01/1.q": big, "v/empty": {}} {
		put(t, s, key, b)
		if !bytes.Equal(get(t, s, key), b) {
			t.Errorf("%s: other bytes came back", key)
		}
		info, err := s.Stat(t.Context(), key)
		check(t, err)
		if info != (blob.Info{Key: key, Size: int64(len(b))}) {
			t.Errorf("%s: stat says %+v", key, info)
		}
	}
}

func neverReplaces(t *testing.T, s blob.Store) {
	put(t, s, "v/k", []byte("first"))
	want(t, s.Put(t.Context(), "v/k", strings.NewReader("second"), sum([]byte("second"))), blob.ErrExist)
	want(t, s.Put(t.Context(), "v/k", strings.NewReader("first"), sum([]byte("first"))), blob.ErrExist)
	if got := get(t, s, "v/k"); string(got) != "first" {
		t.Errorf("object is now %q", got)
	}
}

func mismatchIsNone(t *testing.T, s blob.Store) {
	good := sum([]byte("hello"))
	for name, given := range map[string]string{"short": "hell", "long": "hello!", "other": "jello"} {
		want(t, s.Put(t.Context(), "v/"+name, strings.NewReader(given), good), blob.ErrMismatch)
	}
	if got := keys(t, s, ""); len(got) != 0 {
		t.Errorf("objects are there: %v", got)
	}
}

func brokenSource(t *testing.T, s blob.Store) {
	broken := errors.New("cable out")
	r := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	want(t, s.Put(t.Context(), "v/k", r, sum([]byte("half and half"))), broken)
	_, err := s.Stat(t.Context(), "v/k")
	want(t, err, blob.ErrNotExist)
	put(t, s, "v/k", []byte("half and half"))
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, s.Put(ctx, "v/k", strings.NewReader("x"), sum([]byte("x"))), context.Canceled)
	put(t, s, "v/k", []byte("x"))
	_, err := s.Open(ctx, "v/k")
	want(t, err, context.Canceled)
	var last error
	for _, err := range s.List(ctx, "") {
		last = err
	}
	want(t, last, context.Canceled)
}

func missing(t *testing.T, s blob.Store) {
	put(t, s, "v/k", []byte("x"))
	for _, key := range []string{"k", "v", "v/k/deeper", "w/k"} {
		_, err := s.Open(t.Context(), key)
		want(t, err, blob.ErrNotExist)
		_, err = s.Stat(t.Context(), key)
		want(t, err, blob.ErrNotExist)
		want(t, s.Delete(t.Context(), key), blob.ErrNotExist)
	}
}

func badKeys(t *testing.T, s blob.Store) {
	long := strings.Repeat("x", 201)
	for _, key := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.hidden", "a\\b", "a\x00b", "a b", "a\nb", "é", long, strings.Repeat("abc/", 300) + "x"} {
		want(t, s.Put(t.Context(), key, strings.NewReader("x"), sum([]byte("x"))), blob.ErrBadKey)
		_, err := s.Open(t.Context(), key)
		want(t, err, blob.ErrBadKey)
		_, err = s.Stat(t.Context(), key)
		want(t, err, blob.ErrBadKey)
		want(t, s.Delete(t.Context(), key), blob.ErrBadKey)
	}
	for _, key := range []string{"a-b.c_d/~7e*=^#$+x", strings.Repeat("x", 200)} {
		put(t, s, key, []byte("x"))
	}
}

func list(t *testing.T, s blob.Store) {
	if got := keys(t, s, ""); len(got) != 0 {
		t.Fatalf("a new store holds %v", got)
	}
	all := []string{"a-b/x", "a/x", "a/y", "a/z/1", "a0", "b", "b.q/x"}
	slices.Sort(all)
	for _, i := range []int{3, 0, 6, 1, 5, 2, 4} {
		put(t, s, all[i], []byte(all[i]))
	}
	for _, prefix := range []string{"", "a", "a/", "a/z", "a/z/1", "b", "b.q/", "c", "a/zz"} {
		expected := slices.DeleteFunc(slices.Clone(all), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if got := keys(t, s, prefix); !slices.Equal(got, expected) {
			t.Errorf("prefix %q lists %q, want %q", prefix, got, expected)
		}
	}
}

func listStopsEarly(t *testing.T, s blob.Store) {
	put(t, s, "a/1", []byte("x"))
	put(t, s, "b/2", []byte("x"))
	n := 0
	for range s.List(t.Context(), "") {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d objects seen", n)
	}
}

func readAt(t *testing.T, s blob.Store) {
	put(t, s, "k", []byte("0123456789"))
	o, err := s.Open(t.Context(), "k")
	check(t, err)
	defer o.Close()
	b := make([]byte, 4)
	if n, err := o.ReadAt(b, 3); n != 4 || err != nil || string(b) != "3456" {
		t.Errorf("inside: %d %v %q", n, err, b)
	}
	if n, err := o.ReadAt(b, 8); n != 2 || err != io.EOF || string(b[:2]) != "89" {
		t.Errorf("across the end: %d %v %q", n, err, b)
	}
	if n, err := o.ReadAt(b, 10); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d %v", n, err)
	}
}

func readsAfterDelete(t *testing.T, s blob.Store) {
	put(t, s, "k", []byte("still here"))
	o, err := s.Open(t.Context(), "k")
	check(t, err)
	defer o.Close()
	check(t, s.Delete(t.Context(), "k"))
	b, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil || string(b) != "still here" {
		t.Errorf("read %q, %v", b, err)
	}
}

func deleteThenPut(t *testing.T, s blob.Store) {
	put(t, s, "v/s/k", []byte("one"))
	check(t, s.Delete(t.Context(), "v/s/k"))
	want(t, s.Delete(t.Context(), "v/s/k"), blob.ErrNotExist)
	put(t, s, "v/s/k", []byte("two"))
	if got := get(t, s, "v/s/k"); string(got) != "two" {
		t.Errorf("object is %q", got)
	}
}

func oneWinner(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			b := []byte(fmt.Sprintf("from caller %d", i))
			switch err := s.Put(context.Background(), "v/k", bytes.NewReader(b), sum(b)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, blob.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || len(keys(t, s, "")) != 1 {
		t.Errorf("%d callers created %v", won.Load(), keys(t, s, ""))
	}
}

// putAndDelete has callers who put and delete neighbours at the same time: the
// removal of empty folders must never make a Put fail.
func putAndDelete(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			key := fmt.Sprintf("v/s/day/%d", i)
			for range 20 {
				if err := s.Put(context.Background(), key, strings.NewReader("x"), sum([]byte("x"))); err != nil {
					t.Error(err)
				}
				if err := s.Delete(context.Background(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := keys(t, s, ""); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}
