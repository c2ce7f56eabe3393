package durable

import (
	"fmt"
	"sync/atomic"
)

// Kind says what an operation does.
type Kind uint8

// The kinds of operations. Each is one system call, or stands for one.
const (
	OpCreate    Kind = iota + 1 // a file is made at Path
	OpMkdir                     // a directory is made at Path
	OpRename                    // the file at Path gets the name To
	OpLink                      // the file at Path gets the further name To
	OpUnlink                    // the name Path is removed
	OpWrite                     // Data is written to Path at Off
	OpAllocate                  // the bytes [Off, Off+Len) of Path get blocks
	OpPunch                     // the bytes [Off, Off+Len) of Path become zero and lose their blocks
	OpTruncate                  // Path gets the length Len
	OpSync                      // the file at Path is fsynced
	OpSyncRange                 // the mapped bytes [Off, Off+Len) of Path are msynced
	OpDirty                     // the mapped bytes [Off, Off+Len) of Path are marked as changed
	OpSyncDir                   // the directory at Path is fsynced
	OpSyncFS                    // everything on the file system that has the directory at Path is written to the device
)

var kindNames = [...]string{
	OpCreate: "create", OpMkdir: "mkdir", OpRename: "rename", OpLink: "link", OpUnlink: "unlink", OpWrite: "write",
	OpAllocate: "allocate", OpPunch: "punch", OpTruncate: "truncate", OpSync: "sync", OpSyncRange: "sync range",
	OpDirty: "dirty", OpSyncDir: "sync directory", OpSyncFS: "sync file system",
}

// String names the kind.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Op is one operation, as a [Hook] sees it.
type Op struct {
	Kind     Kind
	Path     string // the file or directory, by the name that it has before the operation
	To       string // the new name
	Off, Len int64  // bytes
	Data     []byte // of OpWrite; must not be changed or kept
}

// Hook is called instead of each operation. It calls apply to have it done, and
// its error is the operation's. Package faultfs has the one there is.
type Hook func(op Op, apply func() error) error

// hook is nil in production: what it costs there is one load per operation.
var hook atomic.Pointer[Hook]

// SetHook puts h in the way of every operation; nil takes it out. It is for
// tests, and for all of the process.
func SetHook(h Hook) {
	if h == nil {
		hook.Store(nil)
		return
	}
	hook.Store(&h)
}

// do runs one operation.
func do(op Op, apply func() error) error {
	if h := hook.Load(); h != nil {
		return (*h)(op, apply)
	}
	return apply()
}
