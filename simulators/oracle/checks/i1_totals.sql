-- I1: the ledger's totals of each bank and date are the sums of its entries.
SELECT 'bank ' || bank || ', date ' || date, 'entries less totals: payments ' || SUM(payments) || ', reversals ' || SUM(reversals) || ' fen'
FROM (
  SELECT bank, date, CASE WHEN sign > 0 THEN fen ELSE 0 END AS payments, CASE WHEN sign < 0 THEN fen ELSE 0 END AS reversals FROM entry
  UNION ALL
  SELECT bank, date, -payments_fen, -reversals_fen FROM total
) GROUP BY bank, date HAVING SUM(payments) <> 0 OR SUM(reversals) <> 0
