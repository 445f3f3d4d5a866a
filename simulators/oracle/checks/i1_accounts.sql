-- I1: our account at each bank holds what its book says, and what the book says
-- is what the citizens gave: by card, and at counters.
SELECT 'bank ' || b.bank, 'the account holds ' || b.si_fen || ' fen, by card ' || b.taken_fen || ', at counters ' || b.cash_fen
       || '; the book comes to ' || IFNULL(k.fen, 0) || ', ' || IFNULL(k.taken, 0) || ', ' || IFNULL(k.cash, 0)
FROM bank b LEFT JOIN (
  SELECT bank, SUM(fen) AS fen, SUM(CASE WHEN kind IN ('debit', 'reversal') THEN fen ELSE 0 END) AS taken,
         SUM(CASE WHEN kind IN ('cash', 'cash-back') THEN fen ELSE 0 END) AS cash
  FROM booking GROUP BY bank) k ON k.bank = b.bank
WHERE b.si_fen <> IFNULL(k.fen, 0) OR b.taken_fen <> IFNULL(k.taken, 0) OR b.cash_fen <> IFNULL(k.cash, 0)
