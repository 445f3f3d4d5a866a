-- I2: nothing is in doubt when the day has ended, and what has ended is in the
-- journal as its state says: once if posted, not at all otherwise.
SELECT 'payment ' || p.payment, 'ends ' || p.state || ' of ' || p.fen || ' fen, the journal has ' || IFNULL(j.posts - j.reds, 0) || ' times ' || IFNULL(j.fen, 0)
FROM payment p LEFT JOIN in_journal j ON j.payment = p.payment
WHERE CASE p.state WHEN 'POSTED' THEN IFNULL(j.posts - j.reds, 0) <> 1 OR IFNULL(j.fen, 0) <> p.fen
                   WHEN 'VOIDED' THEN IFNULL(j.posts - j.reds, 0) <> 0 OR IFNULL(j.fen, 0) <> 0
                   WHEN 'TOMBSTONE' THEN j.payment IS NOT NULL
                   ELSE 1 END
UNION ALL
SELECT 'payment ' || payment, 'is in the journal, and the ledger has no such payment'
FROM in_journal j WHERE NOT EXISTS (SELECT 1 FROM payment p WHERE p.payment = j.payment)
