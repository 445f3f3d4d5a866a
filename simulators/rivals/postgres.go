package rivals

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// pgBin is where Debian's postgresql-15 keeps the server's programs.
const pgBin = "/usr/lib/postgresql/15/bin"

// pgEngine is a server of its own with one connection: group commit is above it.
type pgEngine struct {
	dir  string
	as   *syscall.SysProcAttr
	conn *pgx.Conn
}

// pgSettings are what a fair engineer sets for this work on a machine of 24 GiB:
// every commit synced, memory for the whole table, checkpoints out of the way.
const pgSettings = `listen_addresses = ''
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 4GB
wal_buffers = 64MB
max_wal_size = 16GB
checkpoint_timeout = 15min
wal_compression = lz4
autovacuum = on
jit = off
`

const pgSchema = `
CREATE TABLE due (
  id bigint PRIMARY KEY, person integer NOT NULL, amount bigint NOT NULL, version integer NOT NULL,
  state smallint NOT NULL, payment uuid) WITH (fillfactor = 80);
CREATE TABLE payment (
  id uuid PRIMARY KEY, due bigint NOT NULL, bank smallint NOT NULL, total bigint NOT NULL, serial text NOT NULL,
  bank_date date NOT NULL, our_date date NOT NULL, stan integer NOT NULL, receipt bigint NOT NULL);
CREATE TABLE line (payment uuid NOT NULL, account integer NOT NULL, debit bigint NOT NULL, credit bigint NOT NULL);
CREATE TABLE account (code integer PRIMARY KEY, balance bigint NOT NULL);
CREATE SEQUENCE receipt CACHE 1;
INSERT INTO account VALUES (1191, 0), (400102, 0);
`

// pgPay is one batch: the ids that are new and whose due is open as named are
// paid; the lines and both hot accounts follow. One statement, one round trip.
const pgPay = `
WITH asked AS (
  SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::bigint[], $5::text[], $6::integer[])
    AS a(id, due, version, total, serial, stan)
), fresh AS (
  SELECT a.* FROM asked a WHERE NOT EXISTS (SELECT 1 FROM payment p WHERE p.id = a.id)
), paid AS (
  UPDATE due d SET state = 2, payment = f.id FROM fresh f
  WHERE d.id = f.due AND d.state = 1 AND d.version = f.version AND d.amount = f.total
  RETURNING f.id, f.due, f.total, f.serial, f.stan
), made AS (
  INSERT INTO payment SELECT id, due, 3, total, serial, $7::date, $7::date, stan, nextval('receipt') FROM paid
  RETURNING id, total, receipt
), lines AS (
  INSERT INTO line SELECT m.id, l.account, l.debit * m.total, l.credit * m.total
  FROM made m, (VALUES (1191, 1, 0), (400102, 0, 1), (400103, 0, 0), (4090, 0, 0)) AS l(account, debit, credit)
), hot AS (
  UPDATE account SET balance = balance + (SELECT coalesce(sum(total), 0) FROM made)
)
SELECT id, receipt FROM made`

// Postgres starts a server in a directory of its own, reachable over a Unix socket
// only, with so many dues, numbered from 1, each of the amount. The directory must
// be one that the package's user can reach.
func Postgres(ctx context.Context, dir string, dues int, amount int64) (*Taker, error) {
	e := &pgEngine{dir: dir}
	if err := e.start(ctx); err != nil {
		return nil, err
	}
	_, err := e.conn.Exec(ctx, pgSchema)
	if err == nil {
		_, err = e.conn.Exec(ctx, `INSERT INTO due SELECT i, i % 903000 + 1, $2, 1, 1, NULL FROM generate_series(1, $1::bigint) i`, dues, amount)
	}
	if err == nil {
		_, err = e.conn.Exec(ctx, "VACUUM ANALYZE")
	}
	if err == nil {
		_, err = e.conn.Exec(ctx, "CHECKPOINT")
	}
	if err != nil {
		_ = e.close()
		return nil, wrong("fill PostgreSQL", err)
	}
	return newTaker(e), nil
}

// start makes the cluster as the package's user: the server refuses to run as
// root.
func (e *pgEngine) start(ctx context.Context) error {
	if err := e.become(); err != nil {
		return err
	}
	data := filepath.Join(e.dir, "data")
	if err := e.tool(ctx, "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return wrong("settings", err)
	}
	_, err = fmt.Fprintf(f, "%sunix_socket_directories = '%s'\n", pgSettings, e.dir)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return wrong("settings", err)
	}
	if err := e.tool(ctx, "pg_ctl", "-D", data, "-w", "-s", "-l", filepath.Join(e.dir, "log"), "start"); err != nil {
		return err
	}
	if e.conn, err = pgx.Connect(ctx, "host="+e.dir+" user=postgres dbname=postgres"); err != nil {
		_ = e.close()
		return wrong("connect", err)
	}
	return nil
}

// become gives the directory to the package's user, if this is root.
func (e *pgEngine) become() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return wrong("the user of package postgresql-15", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return wrong("user", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return wrong("group", err)
	}
	e.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if err := os.Chown(e.dir, int(uid), int(gid)); err != nil {
		return wrong("directory", err)
	}
	return nil
}

func (e *pgEngine) tool(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, filepath.Join(pgBin, name), args...)
	c.SysProcAttr, c.Dir = e.as, e.dir
	if name == "pg_ctl" {
		return wrongTool(name, "", c.Run()) // the server keeps what it is given open
	}
	out, err := c.CombinedOutput()
	return wrongTool(name, string(out), err)
}

func wrongTool(name, out string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rivals: %s (is postgresql-15 installed?): %w %s", name, err, out)
}

func (e *pgEngine) close() error {
	ctx := context.Background()
	if e.conn != nil {
		_ = e.conn.Close(ctx)
	}
	return e.tool(ctx, "pg_ctl", "-D", filepath.Join(e.dir, "data"), "-w", "-s", "-m", "immediate", "stop")
}

// pid is the server's first process, 0 if it cannot be told.
func (e *pgEngine) pid() int {
	b, err := os.ReadFile(filepath.Join(e.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

func (e *pgEngine) commit(batch []payment) error {
	n := len(batch)
	ids, dues, versions := make([][16]byte, n), make([]int64, n), make([]int32, n)
	totals, serials, stans := make([]int64, n), make([]string, n), make([]int32, n)
	at := make(map[[16]byte]*payment, n)
	for i := range batch {
		p := &batch[i]
		ids[i], dues[i], versions[i] = p.ID, int64(p.Dues[0].ID), int32(p.Dues[0].Version)
		totals[i], serials[i], stans[i] = int64(p.Total), p.HostSerial, int32(p.STAN)
		p.code = ledgerapi.DuePaid
		at[p.ID] = p
	}
	rows, err := e.conn.Query(context.Background(), pgPay, ids, dues, versions, totals, serials, stans, batch[0].OurDate.Time())
	if err != nil {
		return wrong("batch", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id [16]byte
		var receipt int64
		if err := rows.Scan(&id, &receipt); err != nil {
			return wrong("batch", err)
		}
		if p := at[id]; p != nil {
			p.code, p.receipt = ledgerapi.OK, uint32(receipt)
		}
	}
	if err := rows.Err(); err != nil {
		return wrong("batch", err)
	}
	return nil
}
