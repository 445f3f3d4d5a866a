-- I3: a due is PAID exactly if one payment stands for it, once, with its amount,
-- and that payment is posted.
SELECT 'due ' || d.due, 'of ' || d.fen || ' fen is ' || d.state || ', ' || COUNT(s.payment) || ' payments stand for it, ' || IFNULL(SUM(s.times), 0)
       || ' times, with ' || IFNULL(SUM(s.fen), 0) || ' fen, ' || IFNULL(SUM(p.state = 'POSTED'), 0) || ' of them posted'
FROM due d LEFT JOIN standing s ON s.due = d.due LEFT JOIN payment p ON p.payment = s.payment
GROUP BY d.due
HAVING CASE d.state WHEN 'PAID' THEN COUNT(s.payment) <> 1 OR SUM(s.times) <> 1 OR SUM(s.fen) < d.fen OR IFNULL(SUM(p.state = 'POSTED'), 0) <> 1
                    ELSE COUNT(s.payment) <> 0 END
UNION ALL
SELECT 'due ' || s.due, 'has been paid, and the ledger has no such due' FROM standing s WHERE NOT EXISTS (SELECT 1 FROM due d WHERE d.due = s.due)
