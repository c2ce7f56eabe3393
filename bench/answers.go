package main

import (
	"context"
)

func bookLatency(ctx context.Context, dir string) ([]row, error) { return nil, nil }
func flightScan(ctx context.Context, dir string) ([]row, error) { return nil, nil }
