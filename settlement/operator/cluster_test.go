package operator

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeNode is one of three nodes.
type fakeNode struct {
	leader string
	asked  []string
	err    error
}

func (f *fakeNode) Leader() (bool, string) { return f.leader == "node-1", f.leader }
func (f *fakeNode) Members() ([]Member, error) {
	return []Member{{ID: "node-1", Here: true, Leads: f.leader == "node-1"}, {ID: "node-2"}}, nil
}
func (f *fakeNode) note(what, id string) error {
	f.asked = append(f.asked, what+" "+id)
	return f.err
}
func (f *fakeNode) Join(id string) error    { return f.note("join", id) }
func (f *fakeNode) Promote(id string) error { return f.note("promote", id) }
func (f *fakeNode) Remove(id string) error  { return f.note("remove", id) }
func (f *fakeNode) Backup(dir string, progress func(done, total int64)) (Backup, error) {
	for i := range int64(4) {
		progress(i, 3)
	}
	return Backup{Index: 7, Head: "ab", Files: 2, Bytes: 3}, f.err
}

func serveNode(t *testing.T, f *fakeNode) *Client {
	t.Helper()
	s := New(Config{Node: f, Now: time.Now, Status: func() Status { return Status{Version: "test"} }})
	path := filepath.Join(t.TempDir(), "op.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	c := Dial(path)
	t.Cleanup(func() {
		c.Close()
		_ = srv.Close()
		<-ended
	})
	return c
}

// TestFollowerRefuses: at a node that follows, status, members and backup are
// answered, and nothing else.
func TestFollowerRefuses(t *testing.T) {
	f := &fakeNode{leader: "node-2"}
	c := serveNode(t, f)
	var st Status
	var m Members
	if err := c.Ask(t.Context(), "/v1/status", nil, &st); err != nil || st.Version != "test" {
		t.Errorf("status: %+v, %v", st, err)
	}
	if err := c.Ask(t.Context(), "/v1/cluster", nil, &m); err != nil || m.Leader != "node-2" || len(m.Nodes) != 2 {
		t.Errorf("members: %+v, %v", m, err)
	}
	if b, err := c.Backup(t.Context(), "/copy", func(int64, int64) {}); err != nil || b.Index != 7 {
		t.Errorf("backup: %+v, %v", b, err)
	}
	for _, path := range []string{"/v1/config", "/v1/terminal", "/v1/assess", "/v1/notice", "/v1/dues", "/v1/cluster/join", "/v1/cluster/promote", "/v1/cluster/remove"} {
		err := c.Ask(t.Context(), path, MemberRequest{ID: "node-3"}, &m)
		var r *RefusedError
		if !errors.As(err, &r) || r.Status != http.StatusMisdirectedRequest || !strings.Contains(r.Why, "node-2") {
			t.Errorf("%s: %v, want 421 and the leader's name", path, err)
		}
	}
	f.leader = ""
	if err := c.Ask(t.Context(), "/v1/notice", MemberRequest{}, &m); err == nil || !strings.Contains(err.Error(), "no node leads") {
		t.Errorf("without a leader: %v", err)
	}
	if len(f.asked) != 0 {
		t.Errorf("a node that follows was changed: %v", f.asked)
	}
}

func TestClusterCalls(t *testing.T) {
	f := &fakeNode{leader: "node-1"}
	c := serveNode(t, f)
	var m Members
	for _, what := range []string{"join", "promote", "remove"} {
		if err := c.Ask(t.Context(), "/v1/cluster/"+what, MemberRequest{ID: "node-3"}, &m); err != nil || len(m.Nodes) != 2 {
			t.Errorf("%s: %+v, %v", what, m, err)
		}
	}
	if got := strings.Join(f.asked, ", "); got != "join node-3, promote node-3, remove node-3" {
		t.Errorf("the node was asked: %s", got)
	}
	var last, total int64
	b, err := c.Backup(t.Context(), "/copy", func(done, all int64) { last, total = done, all })
	if err != nil || !b.OK || b.Files != 2 || last != 3 || total != 3 {
		t.Errorf("backup: %+v, %v, progress %d of %d", b, err, last, total)
	}
	if _, err := c.Backup(t.Context(), "copy", func(int64, int64) {}); err == nil || !strings.Contains(err.Error(), "whole path") {
		t.Errorf("a folder of nobody knows where: %v", err)
	}
	f.err = errors.New("the disk is full")
	if _, err := c.Backup(t.Context(), "/copy", func(int64, int64) {}); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a backup that failed: %v", err)
	}
	if err := c.Ask(t.Context(), "/v1/cluster/join", MemberRequest{ID: "x"}, &m); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a join that failed: %v", err)
	}
}
