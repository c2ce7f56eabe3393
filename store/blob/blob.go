// Package blob is where sealed segments live once they have left the hot queue:
// a folder on a disk or on NFS ([Dir]), later an object store. One small
// interface, [Store], and one conformance test (package blobtest) for every
// implementation.
//
// # Invariants
//
//   - An object is seen whole or not at all, and never changes after that. Put
//     does not replace: of any number of callers exactly one creates a key.
//   - When Put has returned nil, the object is durable, and its bytes have been
//     read back from the store and compared with the size and hash wanted.
//   - A store that is not there (an unmounted disk) is never taken for an empty
//     one: every call answers [ErrNoTier]. A marker, written once when the store
//     was made, tells the two apart.
//
// # Keys
//
// A key is a relative slash-separated path, for instance
//
//	binance-usdm/btc_usdt/book/2024-08-08/00000000000000000001.q
//
// Its elements are not empty, at most 200 bytes of printable ASCII without
// backslash, and do not begin with a dot, so that a key can neither leave the
// store nor meet a temporary name or the marker.
//
// # Concurrency
//
// Every Store is safe for concurrent use by any number of goroutines and
// processes. An Object's ReadAt may be called concurrently.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// What callers branch on, with errors.Is.
var (
	ErrNotExist    = errors.New("no such object")
	ErrExist       = errors.New("object exists already")
	ErrBadKey      = errors.New("not an object key")
	ErrMismatch    = errors.New("bytes are not what they should be")
	ErrNoTier      = errors.New("tier is not there")
	ErrCrossDevice = errors.New("on another file system")
)

// Store keeps objects by key.
type Store interface {
	// Check answers nil if the store is there and is the one it is meant to be,
	// ErrNoTier if it is not.
	Check(ctx context.Context) error

	// Put stores the bytes of r under key, if the key is free; ErrExist if it
	// is not, with nothing changed. r must yield exactly what want says, and the
	// store is read back to see that it holds just that; ErrMismatch otherwise,
	// and no object. On any error the object may nevertheless be there (the
	// answer got lost): Open tells. Durable on return.
	Put(ctx context.Context, key string, r io.Reader, want Sum) error

	// Open gives an object for reading. What is open stays readable even if the
	// key is deleted meanwhile, unless the implementation says otherwise.
	Open(ctx context.Context, key string) (Object, error)

	// Stat gives an object's size.
	Stat(ctx context.Context, key string) (Info, error)

	// List gives the objects whose keys begin with prefix (any string; empty is
	// all), in ascending order of the keys. Objects that come or go meanwhile
	// may or may not be listed. The sequence ends after the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes an object, durably. ErrNotExist if it is not there.
	Delete(ctx context.Context, key string) error
}

// Mover is implemented by stores that can take in a local file by renaming it.
type Mover interface {
	// MoveIn makes the file at localPath the object of key without copying a
	// byte. The file's content must be fsynced before. ErrExist if the key is
	// taken, ErrCrossDevice if the file is on another file system: in both cases
	// nothing was changed. The commit point is one rename; both folders are
	// fsynced before it returns.
	MoveIn(ctx context.Context, localPath, key string) error
}

// Local is implemented by stores whose objects are local files.
type Local interface {
	// LocalPath gives the file of a key, which need not exist.
	LocalPath(key string) (string, error)
}

// Creator is implemented by stores that can be made on first use.
type Creator interface {
	// Create makes the store, with its marker. One that is there already is no error.
	Create(ctx context.Context) error
}

// Temporary is implemented by stores in which a crash can leave unfinished
// uploads behind. They are invisible to Open, Stat and List.
type Temporary interface {
	// Temps gives the unfinished uploads, in a spelling for people.
	Temps(ctx context.Context) iter.Seq2[string, error]
	// CleanTemps removes the unfinished uploads of one key. A Put of that key
	// that is under way elsewhere then fails.
	CleanTemps(ctx context.Context, key string) error
}

// Tier is a store under the name that the manifest knows it by ("warm", "cold").
type Tier struct {
	Name  string
	Store Store
}

// Object is an open object.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// Info describes an object without opening it.
type Info struct {
	Key  string
	Size int64 // bytes
}

// Sum is what an object's bytes must be.
type Sum struct {
	Size   int64 // bytes
	SHA256 [sha256.Size]byte
}

// String gives "N bytes sha256:hex".
func (s Sum) String() string {
	return fmt.Sprintf("%d bytes sha256:%s", s.Size, hex.EncodeToString(s.SHA256[:]))
}

// SumOf reads r to its end and gives its sum.
func SumOf(r io.Reader) (Sum, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return Sum{}, fmt.Errorf("hash: %w", err)
	}
	s := Sum{Size: n}
	h.Sum(s.SHA256[:0])
	return s, nil
}

const (
	maxElement = 200 // leaves room for the names of temporary files
	maxKey     = 1024
)

// CheckKey answers ErrBadKey for a key that does not follow the rules of the
// package comment.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("key of %d bytes, at most %d allowed: %w", len(key), maxKey, ErrBadKey)
	}
	for _, element := range strings.Split(key, "/") {
		if !validElement(element) {
			return fmt.Errorf("key %q: element %q: %w", key, element, ErrBadKey)
		}
	}
	return nil
}

func validElement(s string) bool {
	if s == "" || len(s) > maxElement || s[0] == '.' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}
