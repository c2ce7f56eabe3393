package rest

import (
	"context"
	"testing"
)

// cancelable gives a context that ends when told to, or with the test.
func cancelable(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}
