-- I2, as people see it: a teller keeps money for what is posted and for nothing
-- else; a terminal's journal ends as the ledger does; nobody who was told "not
-- charged" has a debit that stands, and what was told "paid" was posted. (A refusal
-- answers one call; where a payment was sent twice, the terminal has its id closed
-- before it believes it, so that its journal is what counts.)
SELECT 'payment ' || t.payment, CASE t.kept WHEN 1 THEN 'the teller keeps ' ELSE 'the teller gave back ' END || t.fen || ' fen, the ledger says ' || IFNULL(p.state, 'nothing')
FROM teller t LEFT JOIN payment p ON p.payment = t.payment
WHERE t.kept <> (IFNULL(p.state, '') = 'POSTED')
UNION ALL
SELECT 'payment ' || i.payment, 'the terminal ends ' || i.state || ', the ledger says ' || IFNULL(p.state, 'nothing')
FROM intent i LEFT JOIN payment p ON p.payment = i.payment
WHERE (i.state IN ('POSTED', 'RECEIPTED') AND IFNULL(p.state, '') <> 'POSTED')
   OR (i.state IN ('DECLINED', 'FAILED') AND IFNULL(p.state, '') = 'POSTED')
UNION ALL
SELECT 'payment ' || t.payment, 'was told ' || t.ending || ', the bank holds ' || s.bank_fen || ' fen, the ledger ' || s.ledger_fen
FROM (SELECT DISTINCT payment, ending FROM told WHERE ending = 'not charged') t JOIN side s ON s.payment = t.payment
WHERE (s.bank_fen <> 0 OR s.ledger_fen <> 0) AND NOT EXISTS (SELECT 1 FROM lie l WHERE l.bank = s.bank AND l.deal = s.deal)
UNION ALL
SELECT 'payment ' || t.payment, 'was told paid and was never posted'
FROM (SELECT DISTINCT payment FROM told WHERE ending = 'paid') t LEFT JOIN in_journal j ON j.payment = t.payment
WHERE IFNULL(j.posts, 0) = 0
