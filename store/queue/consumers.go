package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chronicle/internal/durable"
)

// Consumers lists the consumers registered at the queue in dir, by name. It takes
// no lock. [ErrCorrupt] names a file that is damaged; the ones before it in order
// are given.
func Consumers(dir string) ([]ConsumerInfo, error) {
	names, err := consumerNames(dir)
	if err != nil {
		return nil, err
	}
	var all []ConsumerInfo
	for _, name := range names {
		info, err := consumerInfo(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return all, fmt.Errorf("consumer %s of queue %s: %w", name, dir, err)
		}
		all = append(all, info)
	}
	return all, nil
}

// consumerNames lists the consumer files, leaving out ones in the making.
func consumerNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, consumersDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list consumers: %w", err)
	}
	var names []string
	for _, e := range entries {
		if checkConsumerName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func consumerInfo(dir, name string) (ConsumerInfo, error) {
	f, err := os.Open(consumerPath(dir, name))
	if err != nil {
		return ConsumerInfo{}, err
	}
	defer f.Close()
	info, err := readConsumer(f)
	info.Name = name
	return info, err
}

// RemoveConsumer ends a registration, durably: retention no longer waits for it.
// [ErrLocked]: a process holds it. A name that is not registered is fs.ErrNotExist.
func RemoveConsumer(dir, name string) error {
	if err := checkConsumerName(name); err != nil {
		return err
	}
	f, err := lockConsumer(dir, name)
	if err != nil {
		return fmt.Errorf("remove consumer %s of queue %s: %w", name, dir, err)
	}
	defer f.Close()
	if err := durable.Remove(consumerPath(dir, name)); err != nil {
		return fmt.Errorf("remove consumer %s of queue %s: %w", name, dir, err)
	}
	return nil
}

// lowerConsumers makes the consumers that have passed record next or a later one
// need them, and gives their names. It is for a writer that is about to give those
// numbers out anew, because a crash of the machine has lost the old ones. What is
// wrong with a consumer's file is for Retain to say, which then removes nothing.
func lowerConsumers(dir string, next uint64) ([]string, error) {
	names, err := consumerNames(dir)
	if err != nil {
		return nil, err
	}
	var lowered []string
	for _, name := range names {
		info, err := consumerInfo(dir, name)
		if err != nil || info.Next <= next {
			continue
		}
		if err := lowerConsumer(consumerPath(dir, name), next); err != nil {
			return lowered, fmt.Errorf("lower consumer %s: %w", name, err)
		}
		lowered = append(lowered, name)
	}
	return lowered, nil
}

func lowerConsumer(path string, next uint64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, consumerHead)
	putPosition(b, next)
	err = durable.WriteAt(f, b[consumerNext:consumerPID], consumerNext)
	return errors.Join(err, durable.Sync(f), f.Close())
}
