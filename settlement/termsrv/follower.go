package termsrv

import (
	"net/http"

	"github.com/shebao-pay/shebao/si/termapi"
)

// NotLeading answers a terminal that asked a node which does not lead: nothing
// was done, and the node at addr leads. addr is empty while there is none.
func NotLeading(w http.ResponseWriter, addr string) {
	w.Header().Set("Cache-Control", "no-store")
	detail := "this node does not lead; ask " + addr
	if addr == "" {
		detail = "no node leads just now; ask again in a moment"
	}
	writeProblem(w, problem(http.StatusMisdirectedRequest, termapi.ErrNotLeader, detail).leader(addr))
}

// Unavailable answers a terminal at a node that leads and cannot serve.
func Unavailable(w http.ResponseWriter, why string) {
	w.Header().Set("Cache-Control", "no-store")
	writeProblem(w, problem(http.StatusServiceUnavailable, termapi.ErrUnavailable, why))
}
