package main

import (
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/settlement/operator"
)

func decideCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "decide PAYMENT", Args: one("PAYMENT"),
		Short: "Ends a payment that needs a person, by two persons and the bank's paper",
		Long: `Ends a payment that shebaoctl pending lists as one that needs a person. One
person reads what the bank has in writing about its reference number and decides,
another checks it. With paid the dues are paid on the bank's date; with
not-charged they are open again. Nothing is sent to the bank.`,
	}
	socket := socketFlag(c)
	q := operator.DecideRequest{}
	c.Flags().StringVar(&q.Ending, "ending", "", "paid or not-charged")
	c.Flags().StringVar(&q.BankDate, "bank-date", "", "of paid: the date on which the bank booked it, YYYY-MM-DD")
	c.Flags().StringVar(&q.Reference, "reference", "", "the bank's number of its paper, at most 20 characters")
	c.Flags().Uint32Var(&q.Maker, "maker", 0, "user number of the person who decided it")
	c.Flags().Uint32Var(&q.Checker, "checker", 0, "user number of the person who checked it")
	required(c, "ending", "reference", "maker", "checker")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl := operator.Dial(*socket)
		defer cl.Close()
		var a operator.Answer
		if err := cl.Ask(cmd.Context(), "/v1/pending/"+args[0], q, &a); err != nil {
			return err
		}
		return done(cmd.OutOrStdout(), a)
	}
	return c
}
