package operator

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
)

// Node is what the operator asks of the node itself rather than of its ledger.
type Node interface {
	// Leader names the node that leads and tells whether it is this one.
	Leader() (here bool, id string)
	Members() ([]Member, error)
	Join(id string) error
	Promote(id string) error
	Remove(id string) error
	// Backup copies the ledger into a new folder of this machine.
	Backup(dir string, progress func(done, total int64)) (Backup, error)
}

// Member is one node of the region.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address,omitempty"`
	Votes   bool   `json:"votes"` // false while it catches up
	Leads   bool   `json:"leads"`
	Here    bool   `json:"here"` // it is the node that answers
	Reached bool   `json:"reached"`
	Why     string `json:"why,omitempty"` // it was not reached
	Applied uint64 `json:"applied"`
	Head    string `json:"head,omitempty"`
}

// Members is the answer to a question for the nodes.
type Members struct {
	Leader string   `json:"leader"` // empty while there is none
	Nodes  []Member `json:"nodes"`
}

// MemberRequest names a node to join, to get its vote, or to be removed.
type MemberRequest struct {
	ID string `json:"id"`
}

// BackupRequest names the folder of the node's machine that the copy becomes.
type BackupRequest struct {
	Dir string `json:"dir"`
}

// Backup is what a copy holds.
type Backup struct {
	OK    bool   `json:"ok"`
	Index uint64 `json:"index"` // entry at which its state file stands
	Head  string `json:"head"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	Error string `json:"error,omitempty"`
}

// here are the calls that every node answers for itself; all others are the
// leader's.
var here = map[string]bool{"/v1/status": true, "/v1/cluster": true, "/v1/backup": true}

// leading refuses at a node that follows what only the leader knows or changes.
func (s *Server) leading(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Node != nil && !here[r.URL.Path] {
			switch leads, id := s.cfg.Node.Leader(); {
			case !leads && id == "":
				refuse(w, http.StatusMisdirectedRequest, "no node leads just now; ask again in a moment")
				return
			case !leads:
				refuse(w, http.StatusMisdirectedRequest, "this node follows; ask the one that leads: "+id)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) clusterRoutes() {
	s.mux.HandleFunc("GET /v1/cluster", s.members)
	for path, change := range map[string]func(id string) error{
		"join": s.cfg.Node.Join, "promote": s.cfg.Node.Promote, "remove": s.cfg.Node.Remove,
	} {
		s.mux.HandleFunc("POST /v1/cluster/"+path, s.member(change))
	}
	s.mux.HandleFunc("POST /v1/backup", s.backup)
}

func (s *Server) members(w http.ResponseWriter, _ *http.Request) {
	list, err := s.cfg.Node.Members()
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	_, id := s.cfg.Node.Leader()
	reply(w, Members{Leader: id, Nodes: list})
}

func (s *Server) member(change func(id string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q MemberRequest
		if !read(w, r, &q) {
			return
		}
		if err := change(q.ID); err != nil {
			refuse(w, http.StatusConflict, err.Error())
			return
		}
		s.members(w, r)
	}
}

// backup streams lines of progress and ends with the outcome.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	var q BackupRequest
	if !read(w, r, &q) {
		return
	}
	if !filepath.IsAbs(q.Dir) {
		refuse(w, http.StatusBadRequest, "dir: a whole path is needed, the node runs in a folder of its own")
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	b, err := s.cfg.Node.Backup(q.Dir, func(done, total int64) {
		_ = lines.Encode(progressLine{done, total}) // the caller may be gone; the copy is made all the same
		_ = flush.Flush()
	})
	if err != nil {
		b.Error = err.Error()
	}
	b.OK = err == nil
	_ = lines.Encode(b)
}

type progressLine struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// Backup asks the node for a copy and hears its progress.
func (c *Client) Backup(ctx context.Context, dir string, progress func(done, total int64)) (Backup, error) {
	var out Backup
	body, err := jsonBody(BackupRequest{dir})
	if err != nil {
		return out, err
	}
	resp, err := c.call(ctx, http.MethodPost, "/v1/backup", body)
	if err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }()
	var last json.RawMessage
	for d := json.NewDecoder(resp.Body); d.Decode(&last) == nil; {
		var at struct {
			progressLine
			OK *bool `json:"ok"`
		}
		if json.Unmarshal(last, &at) == nil && at.OK == nil {
			progress(at.Done, at.Total)
		}
	}
	if err := json.Unmarshal(last, &out); err != nil || out.Head == "" && out.Error == "" {
		return out, errCutShort
	}
	if out.Error != "" {
		return out, &RefusedError{http.StatusConflict, out.Error}
	}
	return out, nil
}
