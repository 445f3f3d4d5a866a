-- I2: the breaks that the day's match found are those that the two books show,
-- each once, each the lie of a bank.
SELECT 'bank ' || bank || ', deal ' || deal,
       CASE WHEN SUM(shown) = 0 THEN 'is called a break, and the books agree' WHEN SUM(found) = 0 THEN 'is a break that nobody found'
            WHEN SUM(found) > 1 THEN 'is found ' || SUM(found) || ' times' ELSE 'is a break without a lie' END
FROM (
  SELECT bank, deal, 1 AS shown, 0 AS found FROM side WHERE bank_fen <> ledger_fen
  UNION ALL SELECT bank, deal, 0, 1 FROM found
) b GROUP BY bank, deal
HAVING SUM(shown) <> 1 OR SUM(found) <> 1 OR NOT EXISTS (SELECT 1 FROM lie l WHERE l.bank = b.bank AND l.deal = b.deal)
