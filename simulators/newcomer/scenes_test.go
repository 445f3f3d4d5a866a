package newcomer

import "testing"

// step is one command of the pages and what is done with it here.
type step struct {
	typed string // as the pages have it; empty for what a page says in words
	as    string // what is typed for it, if not the same: smaller, or into other folders
	shows string // the first line of the block that shows what it prints
	alone bool   // the block's lines stand alone in the output, in any order
	log   string // the block shows this file, not the output
	stays string // it runs until it is stopped, and has started when it prints this
	stop  string // ends, as Ctrl-C does, what this step started
	fails bool   // it ends with an error, as the page says
	check func(t *testing.T, w *world, out string)
}

// showsFirst tells whether a block that begins so is compared with what the step
// prints.
func (s step) showsFirst(line string) bool {
	return s.shows == line && line != "" || s.typed != "" && line == prompt+s.typed
}

// name is what was typed, or stands for it.
func (s step) name() string {
	if s.typed == "" {
		return s.as
	}
	return s.typed
}

// scene is an order of steps in the copy of the tree.
type scene struct {
	name  string
	steps []step
}

// Where a guide says a folder, a scene has one of its own.
const (
	toRoot   = "export D=var/root; mkdir -p $D/usr/bin $D/usr/lib/sysusers.d $D/etc/systemd/system; "
	newLoad  = "bin/simulate load --path counter "
	nodeSock = " --socket operator.sock"
	eachNode = "for n in node-1 node-2 node-3; do "
)

// scenes are what a newcomer does, page by page.
var scenes = []scene{
	{"demo", []step{
		{typed: "make build", check: built},
		{typed: "make run", stays: "Ctrl-C ends everything", shows: "shebao demo: data in …/var/demo", check: demoPages},
		{typed: "curl -s http://127.0.0.1:8711/ready", check: says(`^ready, applied [0-9]+, pending 0, banks map\[boc:up ccb:up icbc:up rcb:up\]`)},
		{typed: "curl -s http://127.0.0.1:8711/metrics", check: says(`(?m)^shebao_bank_up\{bank="ccb"\} 1$`)},
		{typed: "bin/shebaoctl health --socket var/demo/operator.sock", check: says(`"ccb": "up"`)},
		{typed: "bin/shebaoctl pending --all --socket var/demo/operator.sock", check: says(`^no payment needs a person`)},
		{typed: "bin/shebaoctl notice --office TOWN-01 --pdf town.pdf --socket var/demo/operator.sock", check: says(`"sheets": [1-9]`)},
		{typed: "bin/simulate residents --persons 1000 --out var/residents", check: says(`1000 persons in var/residents`)},
		{stop: "make run", check: allEnded},
		{as: "true", log: "var/demo/log/settled.log", shows: `{"level":"info","pending":0,…,"message":"pending payments taken up"}`, alone: true},
		{typed: "bin/shebaoctl verify --data var/demo/ledger", shows: "ledger      330110 (region 1)"},
		{typed: "make run", stays: "Ctrl-C ends everything", check: says("data of an earlier start was found and goes on, with 1000 residents")},
		{stop: "make run", check: allEnded},
		{typed: "make run FRESH=1", as: "make run FRESH=1 PERSONS=1001", stays: "Ctrl-C ends everything", check: says("1001 residents made")},
		{stop: "make run FRESH=1", check: allEnded},
		{typed: "make run FRESH=1 PERSONS=100000", as: "make run FRESH=1 PERSONS=2000", stays: "Ctrl-C ends everything", check: says("2000 residents made")},
		{stop: "make run FRESH=1 PERSONS=100000", check: allEnded},
	}},
	{"play", []step{
		{typed: "bin/simulate play", shows: "  card of ccb inserted, read and bound; the kiosk asks for the PIN (105 ms)"},
		{typed: "bin/simulate play --list-faults", check: says(`(?m)^reply-lost `)},
		{typed: "bin/simulate play --fault reply-lost", check: says(`(?m)^reply-lost: citizen saw pending, bank debited 0 fen, ledger paid 0 fen, dues OPEN`)},
		{typed: "bin/simulate play --bank ccb --fault late-approval", check: says(`(?m)^late-approval: citizen saw pending, bank debited 0 fen, ledger paid 0 fen, dues OPEN`)},
		{typed: "bin/simulate play --fault hub-killed-after-send --json", check: says(`(?m)^\{"outcome":"pending",.*"bank_debited_fen":0,"ledger_paid_fen":0,"due_state":"OPEN"`)},
	}},
	{"install", []step{
		{typed: "install -m 755 bin/settled bin/terminald bin/shebaoctl /usr/bin/", as: toRoot + "install -m 755 bin/settled bin/terminald bin/shebaoctl $D/usr/bin/"},
		{typed: "install -m 644 deploy/shebao.sysusers.conf /usr/lib/sysusers.d/shebao.conf && systemd-sysusers",
			as: toRoot + "install -m 644 deploy/shebao.sysusers.conf $D/usr/lib/sysusers.d/shebao.conf"}, // this machine gets no users
		{typed: "install -m 644 deploy/shebao-hsm.service deploy/shebao-settled.service /etc/systemd/system/",
			as: toRoot + "install -m 644 deploy/shebao-hsm.service deploy/shebao-settled.service $D/etc/systemd/system/"},
		{typed: "install -d /etc/shebao", as: toRoot + "install -d $D/etc/shebao"},
		{typed: "install -m 644 deploy/hsm.example.yaml /etc/shebao/hsm.yaml", as: toRoot + "install -m 644 deploy/hsm.example.yaml $D/etc/shebao/hsm.yaml"},
		{typed: "install -m 644 deploy/settled.example.yaml /etc/shebao/settled.yaml",
			as: toRoot + "install -m 644 deploy/settled.example.yaml $D/etc/shebao/settled.yaml", check: unitsFindAll},
	}},
	{"bank", []step{
		{typed: "bin/shebaoctl check-profile DIR", as: "bin/shebaoctl check-profile data/banks/ccb", check: says("is sound")},
		{as: `cp -r data/banks/rcb var/mybank && sed -i 's/^  reply: 30s/  reply: 31s/' var/mybank/rules.yaml`},
		{typed: "shebaoctl check-profile <folder>", as: "shebaoctl check-profile var/mybank", fails: true,
			shows: "shebaoctl: profile: refused: rules.yaml:48: timers.reply: 31s and the margin of 15s are more than the 45s that a terminal waits"},
	}},
	{"node", []step{
		{as: "true", check: nodeFiles},
		{typed: "settled -hsm -config hsm.yaml -check-config", check: says("is sound")},
		{typed: "settled -hsm -config hsm.yaml", stays: "hsm: serving"},
		{typed: "settled -config settled.yaml -check-config", check: says("is sound")},
		{typed: "settled -config settled.yaml -print-config", check: says("free_space_mib: 256")},
		{typed: "settled -config settled.yaml", stays: "node serves", check: says("the ledger holds no bank profile")},
		{typed: "bin/shebaoctl config put data/banks/ccb --kind bank-profile --name ccb --from 2026-01-01 --maker 101 --checker 102 --socket operator.sock", check: says(`"code": "OK"`)},
		{typed: "bin/shebaoctl config put data/facts/ccb.txt --kind bank-facts --name ccb --from 2026-01-01 --maker 101 --checker 102 --socket operator.sock", check: says(`"code": "OK"`)},
		{typed: "bin/shebaoctl config put data/rates/330110.yaml --kind rates --name 330110 --from 2026-01-01 --maker 101 --checker 102 --socket operator.sock", check: says(`"version": 1`)},
		{typed: "bin/shebaoctl config put data/cover/330110.yaml --kind cover --name 330110 --from 2026-01-01 --maker 101 --checker 102 --socket operator.sock", check: says(`"version": 1`)},
		{typed: "bin/shebaoctl config put data/offices/330110.yaml --kind offices --name 330110 --from 2026-01-01 --maker 101 --checker 102",
			as: "bin/shebaoctl config put data/offices/330110.yaml --kind offices --name 330110 --from 2026-01-01 --maker 101 --checker 102" + nodeSock, check: says(`"version": 1`)},
		{stop: "settled -config settled.yaml", check: says("node ended")},
		{typed: "settled -config settled.yaml", stays: "node serves", check: says("business date open")},
		{typed: `bin/shebaoctl terminal put --number 17 --bank ccb --outlet "Example outlet" --cert terminal-17.pem --socket operator.sock`, check: says(`"code": "OK"`)},
		{as: "cp var/residents/{persons,bases}.csv . && grep -e ^id_number -e ,ccb, var/residents/cards.csv >cards.csv"}, // the bank whose profile is there
		{typed: "bin/shebaoctl import persons persons.csv --socket operator.sock", check: says(`"made": 1000`)},
		{typed: "bin/shebaoctl import cards cards.csv --socket operator.sock", check: says(`"made": [1-9][0-9]+`)},
		{as: "echo id_number,fund,person_type,grade_fen,base_fen,first_period,consent >enrolments.csv"},
		{typed: "bin/shebaoctl import enrolments enrolments.csv --rates 1 --socket operator.sock", check: says(`"ok": true`)},
		{typed: "bin/simulate residents --persons 1000 --register 10 --out practice", check: says("with 10 differences of each kind")},
		{as: "cp practice/register.csv ."},
		{typed: "bin/shebaoctl compare register register.csv --maker 101 --socket operator.sock", check: says(`"differ": 50`)},
		{typed: "bin/shebaoctl compare apply comparison.proposal --checker 102 --socket operator.sock", check: says(`"made": 50`)},
		{typed: "bin/shebaoctl check-rates FILE", as: "bin/shebaoctl check-rates data/rates/330110.yaml", check: says("are sound")},
		{typed: "bin/shebaoctl assess bases.csv --fund PENSION_RES --person-type RESIDENT --period 2026 --kind year --due-day 2026-12-31 --rates 1 --use grade --socket operator.sock", check: says(`"refused": 0`)},
		{typed: "bin/shebaoctl assess bases.csv --fund PENSION_RES --person-type RESIDENT --period 2026 --kind year --due-day 2026-12-31 --rates 1 --use grade",
			as: "bin/shebaoctl assess bases.csv --fund PENSION_RES --person-type RESIDENT --period 2026 --kind year --due-day 2026-12-31 --rates 1 --use grade" + nodeSock, check: says(`"made": 0`)},
		{as: "(echo id_number; grep -E '^.{6}19[89].*,RESIDENT,' bases.csv | cut -d, -f1 | head -20) >village.csv"},
		{typed: "bin/shebaoctl notice --pdf one.pdf --socket operator.sock", as: "sed -n 2p village.csv | bin/shebaoctl notice --pdf one.pdf" + nodeSock, check: says(`"sheets": 1,`)},
		{typed: "bin/shebaoctl notice --file village.csv --pdf village.pdf --socket operator.sock", check: says(`"sheets": [1-9]`)},
		{typed: "bin/shebaoctl notice --office TOWN-01 --pdf town.pdf --socket operator.sock", check: says(`"sheets": [1-9]`)},
		{typed: "bin/shebaoctl pending --socket operator.sock", check: says(`^no payment needs a person`)},
		{typed: "bin/shebaoctl decide 0193a1b2c3d4e5f60718293a4b5c6d7e --ending not-charged --reference 2026-1129-7 --maker 101 --checker 102 --socket operator.sock", fails: true, check: says(`no such payment`)},
		{typed: "bin/shebaoctl health --socket operator.sock", check: says(`"leader": true`)},
		{typed: "terminald -config terminald.yaml -check-config", check: says("is sound")},
		{stop: "settled -config settled.yaml", check: says("node ended")},
		{stop: "settled -hsm -config hsm.yaml", check: allEnded},
	}},
	{"cluster", []step{
		{typed: "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj \"/CN=shebao nodes\" -keyout nodes-ca.key -out nodes-ca.pem"},
		{typed: "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj \"/CN=node-1\" -keyout node-1.key -out node-1.csr",
			as: eachNode + "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$n -keyout $n.key -out $n.csr; done"},
		{typed: `printf 'subjectAltName=DNS:node-1\nextendedKeyUsage=serverAuth,clientAuth\n' > node-1.ext`,
			as: eachNode + `printf "subjectAltName=DNS:$n\nextendedKeyUsage=serverAuth,clientAuth\n" > $n.ext; done`},
		{typed: "openssl x509 -req -in node-1.csr -CA nodes-ca.pem -CAkey nodes-ca.key -CAcreateserial -days 825 -extfile node-1.ext -out node-1.pem",
			as: eachNode + "openssl x509 -req -in $n.csr -CA nodes-ca.pem -CAkey nodes-ca.key -CAcreateserial -days 825 -extfile $n.ext -out $n.pem; done"},
		{as: "true # three node files", check: clusterFiles},
		{as: "true # the section", log: "n1.yaml", shows: "cluster:"},
		{typed: "bin/settled -config n1.yaml -check-config"},
		{typed: "settled -hsm -config hsm.yaml", stays: "hsm: serving"},
		{as: "settled -config n1.yaml", stays: "this node leads and serves"},
		{as: "settled -config n2.yaml", stays: "node serves"},
		{as: "settled -config n3.yaml", stays: "node serves"},
		{typed: "bin/shebaoctl cluster status --socket op-3.sock"},
		{typed: "bin/shebaoctl cluster join node-2 --socket op-1.sock"},
		{typed: "bin/shebaoctl cluster join node-3 --socket op-1.sock"},
		{typed: "bin/shebaoctl cluster join node-3 --socket op-2.sock", fails: true},
		{typed: "curl -s http://127.0.0.1:9732/ready"},
		{typed: "bin/shebaoctl backup --out backup-1 --socket op-1.sock"},
		{stop: "settled -config n1.yaml", check: says("node ended")},
		{typed: "bin/shebaoctl cluster status --socket op-2.sock", alone: true, // which of the two leads is theirs to settle; one that follows is asked
			as: "until bin/shebaoctl cluster status --socket op-2.sock | grep -q leads; do sleep 0.1; done; " +
				"if bin/shebaoctl cluster status --socket op-2.sock | grep -q '^node-2 .*leads'; then s=op-3.sock; else s=op-2.sock; fi; bin/shebaoctl cluster status --socket $s"},
		{typed: "bin/shebaoctl cluster remove node-1 --socket op-3.sock", alone: true,
			as: "bin/shebaoctl cluster remove node-1 --socket op-3.sock || bin/shebaoctl cluster remove node-1 --socket op-2.sock"},
		{stop: "settled -config n2.yaml", check: says("node ended")},
		{stop: "settled -config n3.yaml", check: says("node ended")},
		{typed: "bin/shebaoctl verify --data backup-1"},
		{typed: "bin/shebaoctl backup --data data-3 --out backup-3", as: "bin/shebaoctl backup --data var/data-3 --out backup-3", check: says("its state stands at entry")},
		{typed: "bin/shebaoctl restore --from backup-1 --data data", as: "bin/shebaoctl restore --from backup-1 --data var/data", check: says("verified")},
		{as: "mkdir -p var/before/data && tar -C var/before/data -xzf ledger/testdata/v1.tar.gz && sed 's,^data: .*,data: data,' settled.yaml >var/before/settled.yaml"},
		{as: "cd var/before && settled -config settled.yaml", fails: true, alone: true,
			shows: "settled: store: data/state.bolt: store: the state file is of an earlier version: schema 1, this program has 2; run `shebaoctl migrate --data data`, which builds it anew from the log"},
		{typed: "bin/shebaoctl migrate --data data", as: "cd var/before && shebaoctl migrate --data data"},
		{stop: "settled -hsm -config hsm.yaml", check: allEnded},
	}},
	{"load", []step{
		{typed: newLoad + "--links 64 --inflight 8 --seconds 10 --persons 200000", as: newLoad + "--links 4 --inflight 8 --seconds 1 --persons 2000 --rate 1000", check: figures},
		{typed: newLoad + "--links 32 --rate 400 --seconds 60 --persons 100000 --kill 50", as: newLoad + "--links 4 --seconds 2 --persons 2000 --rate 1000 --kill 1", check: figures},
		{typed: newLoad + "--seconds 15 --persons 300000 --null-ledger", as: newLoad + "--seconds 3 --persons 2000 --rate 1000 --null-ledger", check: figures},
		{typed: "bin/simulate load --nodes 3 --kill 20 --persons 50000 --seconds 70 --links 8 --inflight 4 --rate 2000",
			as: "bin/simulate load --nodes 3 --kill 1 --persons 2000 --seconds 4 --links 4 --inflight 4 --rate 200", check: figures},
		{typed: "bin/simulate load --path terminal --nodes 3 --kill 20 --links 16 --seconds 60 --persons 50000",
			as: "bin/simulate load --path terminal --nodes 3 --kill 1 --pause 1 --links 4 --seconds 4 --persons 2000", check: figures},
		{typed: "bin/simulate load --path ledger --inflight 512 --seconds 30 --persons 903000 --dues 5000000",
			as: "bin/simulate load --path ledger --inflight 64 --seconds 1 --persons 2000 --dues 4000", check: figures},
		{typed: "bin/simulate load --path ledger --rate 50000 --seconds 600 --tail 1000000",
			as: "bin/simulate load --path ledger --rate 1000 --seconds 1 --persons 2000 --dues 4000 --tail 1000", check: figures},
		{typed: "bin/simulate load --path ledger --inflight 512 --seconds 5 --persons 50000 --dues 250000 --tail 100000",
			as: "bin/simulate load --path ledger --inflight 64 --seconds 1 --persons 2000 --dues 4000 --tail 1000", check: figures},
	}},
	{"proof", []step{
		{typed: "bin/simulate faults --minutes 1 --rate 100 --json", as: "bin/simulate faults --minutes 0.1 --rate 20 --terminals 6 --least 0 --json", check: says(`"pending":0,.*"lost":0,"doubled":0,"verify":"ok"`)},
		{typed: "bin/simulate day --lines 100000 --breaks 500", as: "bin/simulate day --lines 3000 --breaks 100", check: says("100 of 100 breaks found with their class, 0 of another, 0 extra")},
		{typed: "bin/simulate world --oracle sql", as: "bin/simulate world --seeds 1-3 --payments 200 --oracle sql --twice 1", check: says(`"oracle_findings":0,"same_hash_seeds":1,`)},
		{typed: "bin/simulate world --explain SEED --payment ID", as: "bin/simulate world --explain 1 --payment 00000000000000000000000000000000 --payments 200"},
		{typed: "bin/simulate crash --kills 200 --seed 1 --json", as: "bin/simulate crash --kills 12 --whole 2 --plays 1 --seed 1 --json", check: says(`"lost":0,"doubled":0,"verify":"ok"`)},
		{typed: "bin/simulate world", as: "bin/simulate world --seeds 1-3 --payments 200", check: says(`"violations":0,`)},
	}},
}

// untyped are commands of the pages that are not typed here, and why.
var untyped = map[string]string{
	"bin/simulate demo": "make run types it: demoPages sees it",
	"make test":         "runs this",
	"simulate bankhost": "TestFifthBank of cmd/simulate types it",
	"simulate counter":  "TestFifthBank of cmd/simulate types it",
	"simulate kiosk":    "TestFifthBank of cmd/simulate types it",
	"simulate bankhost --profile DIR --keys FILE":                           "TestFifthBank of cmd/simulate types it",
	"simulate counter VERB --profile DIR --keys FILE --addr HOST:PORT":      "TestFifthBank of cmd/simulate types it",
	"settled -hsm -config hsm.yaml keys create":                             "TestFifthBank of cmd/simulate types it",
	"settled -hsm -config hsm.yaml keys add ccb/kbpk part-a.txt part-b.txt": "TestFifthBank of cmd/simulate types it for its own bank",
	"go test -bench Debits ./settlement/banklink":                           "measures; its numbers are the reader's machine's",
	"make test-long":                      "half an hour; its targets run as tests, with their seeds",
	"make lint":                           "builds its tools; .ci/run types it",
	"make e2e":                            "a part of what make test runs",
	"make bench":                          "minutes on a quiet machine",
	"make bench-compare":                  "minutes on a quiet machine",
	"make bench-compare REF=COMMIT":       "minutes on a quiet machine, and no such commit",
	"simulate bench":                      "make bench, by the program's name",
	"simulate load --path ledger":         "a name; the load scene types it with its options",
	"make planted":                        "a part of what make test runs",
	"make sim":                            "a part of what make test runs",
	"make sim SEEDS=n":                    "a part of what make test runs",
	"make fuzz":                           "a part of what make test runs",
	"make soak":                           "hours; TestSoakParts of cmd/simulate runs its frame",
	"make soak HOURS=h":                   "hours; TestSoakParts of cmd/simulate runs its frame",
	"make soak HOURS=h PART=sim":          "hours; TestSoakParts of cmd/simulate runs its frame",
	"make soak HOURS=8":                   "hours; TestSoakParts of cmd/simulate runs its frame",
	"make soak HOURS=2 PART=process":      "hours; its command is typed for seconds in the proof scene",
	"make crash":                          "minutes; the proof scene types its command",
	"go test ./yourpackage/...":           "no such package",
	"go test -shuffle=SEED ./yourpackage": "no such package",
	"go test -shuffle=SEED ./thatpackage": "no such package",
	"go test ./terminal/kiosk":            "a part of what make test runs",
	"terminald -config terminald.yaml":    "the demo starts terminald so, with a reader: allEnded sees it end",
	"shebaoctl config put":                "without arguments, a name; the node scene types it with them",
	"id -u shebao":                        "the user is made where the units are installed",
	"export PATH=$PATH:/usr/local/go/bin": "where Go is",
	"rm -rf /usr/local/go && tar -C /usr/local -xzf go1.26.*.tar.gz":   "installs Go, which runs this",
	"go test -bench Put ./terminal/journal":                            "a figure of a quiet machine",
	"go test -bench RoundTrip ./settlement/bankmsg":                    "a figure of a quiet machine",
	"go test -run - -bench Persons ./cardauth/hsm":                     "a figure of a quiet machine",
	"go test -run - -bench MAC ./cardauth/hsm":                         "a figure of a quiet machine",
	"go test ./simulators/vpcd -run '^$' -bench APDU -benchtime 1000x": "a figure of a quiet machine",
}

// TestScenes types the steps, scene after scene: a later one uses the programs
// and files of an earlier one.
func TestScenes(t *testing.T) {
	w := clone(t)
	shown := map[string][]block{} // by page
	for _, p := range pages(t) {
		_, shown[p.Path] = read(p)
	}
	for _, sc := range scenes {
		ok := t.Run(sc.name, func(t *testing.T) {
			for _, s := range sc.steps {
				out := w.do(t, s)
				for page, blocks := range shown {
					for _, b := range blocks {
						if !s.showsFirst(b.lines[0]) {
							continue
						}
						if line := missing(b.output(), out, s.alone); line != "" {
							t.Errorf("%s%s: no line like %q, which is shown at %s:%d; got\n%s", s.name(), s.log, line, page, b.line, out)
						}
					}
				}
				if s.check != nil {
					s.check(t, w, out)
				}
				if t.Failed() {
					return
				}
			}
		})
		if !ok {
			return // the scenes after it lean on it
		}
	}
}
