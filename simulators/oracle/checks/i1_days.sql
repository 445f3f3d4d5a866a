-- I1: of each bank and settlement date, the bank's book and the ledger's journal
-- come to the same sum, but for the deals that the bank lied about.
SELECT 'bank ' || bank || ', date ' || date, 'bank less ledger is ' || SUM(fen) || ' fen'
FROM (
  SELECT b.bank, b.date, b.fen FROM booking b
  WHERE NOT EXISTS (SELECT 1 FROM lie l WHERE l.bank = b.bank AND l.deal = b.deal)
  UNION ALL
  SELECT e.bank, e.date, -e.sign * e.fen FROM entry e
  WHERE NOT EXISTS (SELECT 1 FROM deal d JOIN lie l ON l.bank = d.bank AND l.deal = d.deal WHERE d.payment = e.payment)
) GROUP BY bank, date HAVING SUM(fen) <> 0
