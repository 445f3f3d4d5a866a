-- I3: what stands for dues is one net debit of the same amount at the bank, but
-- for what the bank lied about.
SELECT 'payment ' || g.payment, 'gives its dues ' || g.fen || ' fen, the bank has ' || IFNULL(s.debits - s.reversals, 0) || ' debits of ' || IFNULL(s.bank_fen, 0)
FROM (SELECT payment, SUM(fen) AS fen FROM standing GROUP BY payment) g LEFT JOIN side s ON s.payment = g.payment
WHERE (IFNULL(s.debits - s.reversals, 0) <> 1 OR IFNULL(s.bank_fen, 0) <> g.fen)
  AND NOT EXISTS (SELECT 1 FROM lie l WHERE l.bank = s.bank AND l.deal = s.deal)
