-- I2: each debit of a bank has exactly one counterpart: a standing posting or a
-- reversal. What has none is an open break, and only a bank that lied may have one.
-- Of what came over the wire the ledger knows every payment; what a counter took
-- and the ledger refused was given back, and that is all.
SELECT 'bank ' || s.bank || ', deal ' || s.deal, IFNULL('payment ' || s.payment, 'of no payment') || ': ' || s.debits || ' debits, '
       || s.reversals || ' reversals, ' || s.bank_fen || ' fen; ledger ' || s.posts || ' posted, ' || s.reds || ' in red, ' || s.ledger_fen || ' fen'
FROM side s
WHERE (s.debits <> s.reversals + s.posts - s.reds OR s.bank_fen <> s.ledger_fen OR (s.payment IS NULL AND INSTR(s.deal, '/') > 0))
  AND NOT EXISTS (SELECT 1 FROM lie l WHERE l.bank = s.bank AND l.deal = s.deal)
