-- What the checks compare, added up once.

-- Of each deal, what the bank's book says.
CREATE TABLE at_bank AS
SELECT bank, deal, SUM(kind IN ('debit', 'cash')) AS debits, SUM(kind IN ('reversal', 'cash-back')) AS reversals, SUM(fen) AS fen
FROM booking GROUP BY bank, deal;
CREATE INDEX at_bank_deal ON at_bank (bank, deal);

-- Of each payment, what the ledger's journal says.
CREATE TABLE in_journal AS
SELECT payment, SUM(sign > 0) AS posts, SUM(sign < 0) AS reds, SUM(sign * fen) AS fen FROM entry GROUP BY payment;
CREATE INDEX in_journal_payment ON in_journal (payment);

-- Both sides of each deal that either knows.
CREATE TABLE side AS
SELECT bank, deal, MAX(payment) AS payment, SUM(debits) AS debits, SUM(reversals) AS reversals, SUM(bank_fen) AS bank_fen,
       SUM(posts) AS posts, SUM(reds) AS reds, SUM(ledger_fen) AS ledger_fen
FROM (
  SELECT bank, deal, NULL AS payment, debits, reversals, fen AS bank_fen, 0 AS posts, 0 AS reds, 0 AS ledger_fen FROM at_bank
  UNION ALL
  SELECT d.bank, d.deal, d.payment, 0, 0, 0, IFNULL(j.posts, 0), IFNULL(j.reds, 0), IFNULL(j.fen, 0)
  FROM deal d LEFT JOIN in_journal j ON j.payment = d.payment
) GROUP BY bank, deal;
CREATE INDEX side_deal ON side (bank, deal);
CREATE INDEX side_payment ON side (payment);

CREATE INDEX lie_deal ON lie (bank, deal);
CREATE INDEX deal_payment ON deal (payment);
CREATE INDEX payment_id ON payment (payment);
CREATE INDEX entry_row ON entry (row);
CREATE INDEX part_row ON part (row);
CREATE INDEX line_row ON line (row);
CREATE INDEX proof_payment ON proof (payment);
CREATE INDEX teller_payment ON teller (payment);
CREATE INDEX due_due ON due (due);

-- Of each due, the payments that stand for it: given and not taken back.
CREATE TABLE standing AS
SELECT p.due, e.payment, SUM(e.sign) AS times, SUM(e.sign * p.fen) AS fen
FROM part p JOIN entry e ON e.row = p.row GROUP BY p.due, e.payment HAVING SUM(e.sign) <> 0 OR SUM(e.sign * p.fen) <> 0;
CREATE INDEX standing_due ON standing (due);
