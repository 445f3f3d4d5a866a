-- I3: nothing is posted without a bank's approval under a good code (source 1),
-- or two persons (sources 3 and 4: bank file, desk). A counter's payment is the
-- bank's own word and has no such proof.
SELECT 'payment ' || payment, 'is posted by source ' || source || ', code good: ' || mac_ok || ', answer ' || resp || ', persons ' || maker || ' and ' || checker
FROM proof
WHERE NOT CASE source WHEN 1 THEN mac_ok = 1 AND maker = 0 AND checker = 0
                      WHEN 2 THEN mac_ok = 1
                      ELSE maker <> 0 AND checker <> 0 AND maker <> checker END
UNION ALL
SELECT 'payment ' || e.payment, 'is posted without a proof'
FROM entry e JOIN payment p ON p.payment = e.payment
WHERE e.sign > 0 AND NOT EXISTS (SELECT 1 FROM proof f WHERE f.payment = e.payment)
  AND NOT EXISTS (SELECT 1 FROM teller t WHERE t.payment = e.payment)
