package termsrv

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/shebao-pay/shebao/si/termapi"
)

// failure is a termapi.Problem that travels as an error through huma.
type failure struct{ termapi.Problem }

func (f *failure) Error() string  { return f.Title + ": " + f.Detail }
func (f *failure) GetStatus() int { return f.Status }

// ContentType makes huma answer in the form of RFC 9457.
func (f *failure) ContentType(string) string { return "application/problem+json" }

func (f *failure) leader(addr string) *failure {
	f.Leader = addr
	return f
}

// problem makes an error answer.
func problem(status int, code, detail string) *failure {
	return &failure{termapi.Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}}
}

func writeProblem(w http.ResponseWriter, f *failure) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f.Problem) // the peer may be gone
}

// init makes huma's own refusals (a body that does not fit the schema) speak
// the same form. Values of the body are never repeated in the answer.
func init() {
	huma.NewError = func(status int, msg string, _ ...error) huma.StatusError {
		code := termapi.ErrForm
		if status >= 500 {
			code = termapi.ErrUnavailable
		}
		return problem(status, code, msg)
	}
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// parseDecimal reads digits without sign or leading zeros.
func parseDecimal(s string, most uint64) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= most && decimal(n) == s
}
