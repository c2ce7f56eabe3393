package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// taskEnv holds the task of a process that was started by Start.
const taskEnv = "CHRONICLE_BENCH_TASK"

// Task reads the task into v; false in a process that Start has not started. It
// is to be asked at the very beginning of main.
func Task(v any) (bool, error) {
	text, ok := os.LookupEnv(taskEnv)
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal([]byte(text), v)
}

// Tell sends v to the process that has started this one.
func Tell(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// AwaitRelease returns when the process that has started this one releases it, or has ended.
func AwaitRelease() { _, _ = io.Copy(io.Discard, os.Stdin) }

// Process is this program running a second time.
type Process struct {
	cmd *exec.Cmd
	out *json.Decoder
	in  io.Closer
}

// Start runs this program again with a task.
func Start(ctx context.Context, task any) (*Process, error) {
	text, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.CommandContext(ctx, self)}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), taskEnv+"="+string(text)), os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	return p, p.cmd.Start()
}

// Hear reads into v what the process tells next. An error means that it has ended
// before that; what it had to say is on standard error.
func (p *Process) Hear(v any) error {
	if err := p.out.Decode(v); err != nil {
		return fmt.Errorf("process %d has ended early: %w", p.cmd.Process.Pid, err)
	}
	return nil
}

// Look gives what the process uses.
func (p *Process) Look() (Usage, error) { return Look(p.cmd.Process.Pid) }

// Release lets the process end and waits for it.
func (p *Process) Release() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

// Kill ends the process at once, as a crash would. It may have ended already.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = p.cmd.Wait() // says that it was killed
	return nil
}
