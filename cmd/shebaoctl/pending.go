package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
)

func pendingCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "pending", Args: cobra.NoArgs,
		Short: "Lists the payments without a proven outcome that need a person",
		Long: `Lists the payments without a proven outcome that need a person, oldest first:
CROSS_DAY, the bank takes no reversal on another date; UNANSWERED, as many
reversals as the bank's alarm_after says brought no proof, and they go on. With
--all also those that the hub is resolving by itself.`,
	}
	socket := socketFlag(c)
	all := c.Flags().Bool("all", false, "also those that need nobody")
	asJSON := c.Flags().Bool("json", false, "one JSON line")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl := operator.Dial(*socket)
		defer cl.Close()
		path := "/v1/pending"
		if *all {
			path += "?all=1"
		}
		var list []operator.PendingView
		if err := cl.Ask(cmd.Context(), path, nil, &list); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if *asJSON {
			return json.NewEncoder(out).Encode(list)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(out, "no payment needs a person")
			return err
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "SINCE\tBANK\tSTATE\tTRIES\tYUAN\tRRN\tPAYMENT\tNEEDS")
		for _, p := range list {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", p.Since, p.Bank, p.State, p.Tries, si.Fen(p.Amount).Grouped(), p.RRN, p.ID, p.Why)
		}
		return w.Flush()
	}
	return c
}
