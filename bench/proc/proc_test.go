package proc

import (
	"errors"
	"os"
	"testing"
	"time"
)

// greeting is the task of the process that the test starts.
type greeting struct{ Text string }

func TestMain(m *testing.M) {
	var g greeting
	if child, err := Task(&g); child {
		err = errors.Join(err, Tell(g.Text+" back"))
		AwaitRelease()
		if err = errors.Join(err, Tell("released")); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestProcessOfItsOwn(t *testing.T) {
	p, err := Start(t.Context(), greeting{"hello"})
	if err != nil {
		t.Fatal(err)
	}
	var said string
	if err := p.Hear(&said); err != nil || said != "hello back" {
		t.Fatalf("heard %q, %v", said, err)
	}
	u, err := p.Look()
	if err != nil || u.Own < 100<<10 || u.Shared == 0 || u.Peak < u.Own || u.Mappings < 5 || u.Files < 3 {
		t.Errorf("it uses %+v, %v", u, err)
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
	if p, err = Start(t.Context(), greeting{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if _, err := p.Look(); err == nil {
		t.Error("a process that was killed still uses something")
	}
}

func TestLookCountsProcessorTime(t *testing.T) {
	before, err := Look(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		if now, err := Look(os.Getpid()); err != nil || now.CPU > before.CPU {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("ten seconds of work are no processor time")
}
