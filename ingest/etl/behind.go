package etl

import "chronicle/internal/durable"

// behind has the file system written back in the background before a checkpoint,
// which waits until everything is on disk, so that it does not wait for long. It
// promises nothing: the checkpoint syncs by itself, and has its own report of
// failures.
type behind struct {
	disk *durable.Disk // nil: not in use
	done chan struct{} // closed when the writing back has ended; nil while there is none
}

func (b *behind) open(e *ETL) {
	if e.cfg.NoSync {
		return
	}
	if disk, err := durable.OpenDisk(e.cfg.StateDir); err == nil {
		b.disk = disk // else the checkpoint's own sync takes as long as it takes
	}
}

// written tells whether what there was at an earlier call has been written back.
// The first call begins to.
func (b *behind) written() bool {
	if b.disk == nil {
		return true
	}
	if b.done == nil {
		done := make(chan struct{})
		b.done = done
		go func() {
			defer close(done)
			_ = b.disk.Sync()
		}()
		return false
	}
	select {
	case <-b.done:
		b.done = nil
		return true
	default:
		return false
	}
}

func (b *behind) close() {
	if b.disk == nil {
		return
	}
	if b.done != nil {
		<-b.done
	}
	_ = b.disk.Close()
	*b = behind{}
}
