package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
)

func clusterCommand() *cobra.Command {
	return group(&cobra.Command{Use: "cluster", Short: "The nodes of a region: who leads, who joins, who leaves"},
		clusterStatusCommand(), clusterJoinCommand(), clusterRemoveCommand())
}

func clusterStatusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Args: cobra.NoArgs, Short: "Lists the nodes and how far each is; any node answers"}
	socket := socketFlag(c)
	asJSON := c.Flags().Bool("json", false, "print one JSON document")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl := operator.Dial(*socket)
		defer cl.Close()
		var m operator.Members
		if err := cl.Ask(cmd.Context(), "/v1/cluster", nil, &m); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), m)
		}
		return printMembers(cmd.OutOrStdout(), m)
	}
	return c
}

func printMembers(w io.Writer, m operator.Members) error {
	if len(m.Nodes) == 0 {
		_, err := io.WriteString(w, "no nodes: this one is empty and waits to be joined, at the node that leads: shebaoctl cluster join NAME\n")
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %-9s %-12s %-22s %s\n", "node", "role", "entry", "address", "chain head")
	for _, n := range m.Nodes {
		role := "follows"
		switch {
		case n.Leads:
			role = "leads"
		case !n.Votes:
			role = "joins"
		}
		name := n.ID
		if n.Here {
			name += " *"
		}
		if !n.Reached {
			fmt.Fprintf(&b, "%-16s %-9s %s\n", name, "away", n.Why)
			continue
		}
		fmt.Fprintf(&b, "%-16s %-9s %-12d %-22s %.16s\n", name, role, n.Applied, n.Address, n.Head)
	}
	b.WriteString("* answers here\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// joinEvery is how often a join looks how far the new node has come.
const joinEvery = 250 * time.Millisecond

func clusterJoinCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "join NAME", Args: one("NAME"), Short: "Takes a new, empty node into the region, and waits until it votes",
		Long: `join is asked of the node that leads. NAME stands in every node's file under
cluster.nodes, and its node runs with an empty data directory. It is sent the log,
or the state file where the log alone would take longer, and gets its vote when it
has caught up; until then nothing waits for it.`,
	}
	socket := socketFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl := operator.Dial(*socket)
		defer cl.Close()
		var m operator.Members
		q := operator.MemberRequest{ID: args[0]}
		if err := cl.Ask(cmd.Context(), "/v1/cluster/join", q, &m); err != nil {
			return err
		}
		bar := progress{out: cmd.ErrOrStderr(), what: args[0] + " catches up, entries"}
		defer bar.end()
		for {
			err := cl.Ask(cmd.Context(), "/v1/cluster/promote", q, &m)
			if err == nil {
				bar.end()
				return printMembers(cmd.OutOrStdout(), m)
			}
			if r := (*operator.RefusedError)(nil); !errors.As(err, &r) {
				return err
			}
			if err := cl.Ask(cmd.Context(), "/v1/cluster", nil, &m); err != nil {
				return err
			}
			at, total := int64(0), int64(0)
			for _, n := range m.Nodes {
				total = max(total, int64(n.Applied)) // #nosec G115 -- an entry's index
				if n.ID == args[0] {
					at = int64(n.Applied) // #nosec G115 -- an entry's index
				}
			}
			bar.set(at, max(total, 1))
			select {
			case <-cmd.Context().Done():
				return fmt.Errorf("not waited for: %s goes on catching up; say the same again: %w", args[0], cmd.Context().Err())
			case <-time.After(joinEvery):
			}
		}
	}
	return c
}

func clusterRemoveCommand() *cobra.Command {
	c := &cobra.Command{Use: "remove NAME", Args: one("NAME"), Short: "Takes a node off the list; the node that leads hands over first"}
	socket := socketFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl := operator.Dial(*socket)
		defer cl.Close()
		var m operator.Members
		if err := cl.Ask(cmd.Context(), "/v1/cluster/remove", operator.MemberRequest{ID: args[0]}, &m); err != nil {
			return err
		}
		return printMembers(cmd.OutOrStdout(), m)
	}
	return c
}

func backupCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "backup --out DIR", Args: cobra.NoArgs, Short: "Copies a ledger, of a running node or of a stopped one",
		Long: `backup copies state file, log and archive into the new folder DIR. Without --data
the running node does it, on its own machine, while it goes on; with --data the
folder of a stopped node is copied. Keys and terminals' journals are not in it.`,
	}
	socket := socketFlag(c)
	out := c.Flags().String("out", "", "folder that the copy becomes; it must not exist")
	data := c.Flags().String("data", "", "data directory of a stopped node")
	required(c, "out")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := filepath.Abs(*out)
		if err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		bar := progress{out: cmd.ErrOrStderr(), what: "copy", bytes: true}
		defer bar.end()
		var b operator.Backup
		if *data != "" {
			info, err := ledger.Backup(*data, dir, bar.set)
			if err != nil {
				return err
			}
			b = operator.Backup{OK: true, Index: info.Index, Head: info.Head, Files: info.Files, Bytes: info.Bytes}
		} else {
			cl := operator.Dial(*socket)
			defer cl.Close()
			if b, err = cl.Backup(cmd.Context(), dir, bar.set); err != nil {
				return err
			}
		}
		bar.end()
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files, %d bytes; its state stands at entry %d, chain head %s\nprove it: shebaoctl verify --data %s\n",
			dir, b.Files, b.Bytes, b.Index, b.Head, dir)
		return err
	}
	return c
}

func restoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "restore --from DIR --data DIR", Args: cobra.NoArgs, Short: "Makes the data directory of a lone node out of a backup",
		Long: `restore holds each file of the backup against its list, copies it, verifies the
copy whole as verify does, and gives it its name only then. The node is a lone
one; others join it with empty directories. Payments made after the backup are not
in it: ask the banks before you open the doors.`,
	}
	from := c.Flags().String("from", "", "folder of the backup")
	data := c.Flags().String("data", "", "data directory to make; it must not exist")
	node := c.Flags().String("node", "node-1", "name of the node")
	required(c, "from", "data")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var bar progress
		info, err := ledger.Restore(*from, *data, *node, func(step string, done, total int64) {
			if bar.what != step {
				bar.end()
				bar = progress{out: cmd.ErrOrStderr(), what: step, bytes: true}
			}
			bar.set(done, total)
		})
		bar.end()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: the ledger of %06d, %d files, verified; its state stands at entry %d, chain head %s\n",
			*data, info.Area, info.Files, info.Index, info.Head)
		return err
	}
	return c
}

func migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "migrate --data DIR", Args: cobra.NoArgs, Short: "Builds the state file of a stopped node anew from its log",
		Long: `migrate is for a data directory of an earlier version, and for one whose state
file is lost. It replays archive and log into a new state file in this version's
form, which takes the old one's place when it is whole. The log is not changed.`,
	}
	data := c.Flags().String("data", "", "data directory of a stopped node")
	region := c.Flags().Uint16("region", 0, "internal number of the region, where no state file says it")
	area := c.Flags().Uint32("area", 0, "area code of the region, where no state file says it")
	required(c, "data")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		bar := progress{out: cmd.ErrOrStderr(), what: "replay", bytes: true}
		m, err := ledger.Migrate(*data, store.Options{Region: si.Region(*region), Area: si.AreaCode(*area)}, bar.set)
		bar.end()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d records replayed; the state file stands at entry %d, chain head %s\n", *data, m.Records, m.Entries, m.Head)
		return err
	}
	return c
}

// patience is how long a command runs before it shows its progress.
const patience = time.Second

// progress is a bar that appears when the work takes a while.
type progress struct {
	out   io.Writer // nil shows nothing
	what  string
	bytes bool
	began time.Time
	bar   *progressbar.ProgressBar
}

func (p *progress) set(done, total int64) {
	if p.out == nil {
		return
	}
	if p.began.IsZero() {
		p.began = time.Now()
	}
	if p.bar == nil && time.Since(p.began) < patience {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowBytes(p.bytes), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(100*time.Millisecond))
	}
	// A bar that cannot be drawn is no reason to stop the work.
	_ = p.bar.Set64(min(done, total))
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
